//! Free ports for a network's peers.
//!
//! They lie below the range that the system takes outgoing connections' ports from. A port of that range could be taken
//! by anybody's outgoing connection just while its peer is down, and the peer could not come back.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::error::LabError;

/// Ports that are free for TCP and UDP on loopback, all different.
pub(crate) fn free(count: usize) -> Result<Vec<u16>, LabError> {
    let range = PORT_MIN..ephemeral_min();
    // Kept open until all are found, so that none is found twice.
    let mut held = Vec::with_capacity(count);
    for _ in 0..ATTEMPTS_PER_PORT * count {
        if held.len() == count {
            break;
        }
        let random = getrandom::u32().map_err(|_| LabError::NoRandomness)?;
        let port = range.start + (random % u32::from(range.end - range.start)) as u16;
        let (tcp, udp) = (TcpListener::bind((Ipv4Addr::LOCALHOST, port)), UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
        if let (Ok(tcp), Ok(udp)) = (tcp, udp) {
            held.push((port, tcp, udp));
        }
    }
    if held.len() < count {
        return Err(LabError::NoPorts { expected: count, got: held.len() });
    }
    Ok(held.into_iter().map(|(port, ..)| port).collect())
}

/// Lower ports are well-known ones, or need rights.
const PORT_MIN: u16 = 10_000;
/// Linux's default, taken where the system does not say.
const EPHEMERAL_MIN: u16 = 32_768;
/// Where one port in two is taken, this many attempts still find one but for once in four thousand.
const ATTEMPTS_PER_PORT: usize = 12;

fn ephemeral_min() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let min = range.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(EPHEMERAL_MIN);
    // A system that leaves no room below must share.
    if min < PORT_MIN + 2_000 { u16::MAX } else { min }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_different_and_can_be_bound() {
        let ports = free(40).expect("ports");
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 40);
        let bound = ports.iter().filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, **port)).is_ok()).count();
        assert!(bound >= 38, "others may have taken one or two meanwhile, got {bound}");
        assert!(ports.iter().all(|port| *port >= PORT_MIN));
    }
}
