//! What is looked at before an attack is mounted: that it stays on this machine, and that its terms hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use synod_node::config::Config;

use super::{Arena, POLL};
use crate::LabError;

/// How long it may take until a node that has ended is missed.
const STRANGER_MAX: Duration = Duration::from_secs(5);

impl Arena {
    /// Attacks leave this machine under no circumstances.
    pub(super) fn check_loopback(&self) -> Result<(), LabError> {
        for place in 0..self.network.peers().len() {
            let config = Config::load(&self.network.config_path(place))?;
            let listens = config.listen.iter().chain(&config.bootstrap);
            if let Some(address) = listens.into_iter().find(|address| !is_loopback(address)) {
                let peer = self.network.peers()[place].name.clone();
                return Err(LabError::NotLoopback { peer, address: address.to_string() });
            }
        }
        Ok(())
    }

    /// Whoever is connected is one of the network's, on this machine: what an attacker says goes no further.
    pub(super) async fn check_links(&self, place: usize) -> Result<(), LabError> {
        let peer = self.name(place);
        let begun = Instant::now();
        loop {
            let links = self.client(place).peers().await.map_err(|error| LabError::api(peer, error))?;
            if let Some(link) = links.iter().find(|link| !link.address.parse().is_ok_and(|at| is_loopback(&at))) {
                return Err(LabError::NotLoopback { peer: peer.to_owned(), address: link.address.clone() });
            }
            let is_known = |id: &String| self.network.peers().iter().any(|entry| entry.peer_id == *id);
            let Some(stranger) = links.iter().map(|link| &link.peer_id).find(|id| !is_known(id)) else { return Ok(()) };
            // The last attack's node may not be missed yet.
            if begun.elapsed() > STRANGER_MAX {
                let message =
                    format!("{peer} is connected to {stranger}, which is none of the network's: stop that first");
                return Err(LabError::Usage { message });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A peer of another attacker has blocks that nobody else knows, and what comes of two attacks at once no theory says.
    pub fn check_honest(&self) -> Result<(), LabError> {
        let Some((peer, behaviour)) = self.network.manifest().settings.adversaries.first_key_value() else {
            return Ok(());
        };
        let message = format!("{peer} of this network is a {behaviour} already: make one whose peers are honest");
        Err(LabError::Usage { message })
    }

    /// These peers hear of each other where they hear nobody else.
    pub async fn check_connected(&self, places: &[usize]) -> Result<(), LabError> {
        let mut links = BTreeMap::new();
        for &place in places {
            let peers = self.client(place).peers().await.map_err(|error| LabError::api(self.name(place), error))?;
            links.insert(self.peer_id(place), peers.into_iter().map(|peer| peer.peer_id).collect::<Vec<String>>());
        }
        let mut reached: BTreeSet<&String> = links.keys().take(1).collect();
        let mut fresh: Vec<&String> = reached.iter().copied().collect();
        while let Some(peer) = fresh.pop() {
            let near = links[peer].iter().filter_map(|other| links.get_key_value(other)).map(|(other, _)| other);
            fresh.extend(near.filter(|other| reached.insert(other)));
        }
        if reached.len() < links.len() {
            let names: Vec<&str> = places.iter().map(|&place| self.name(place)).collect();
            let message = format!(
                "{} are not connected without the others, so that they would not act as one: attack a smaller network",
                names.join(", ")
            );
            return Err(LabError::Usage { message });
        }
        Ok(())
    }
}

fn is_loopback(address: &synod_node::net::Multiaddr) -> bool {
    let text = address.to_string();
    let mut parts = text.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("ip4"), Some(ip)) => ip.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback()),
        (Some("ip6"), Some(ip)) => ip.parse().is_ok_and(|ip: std::net::Ipv6Addr| ip.is_loopback()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        let table = [
            ("/ip4/127.0.0.1/tcp/4001", true),
            ("/ip4/127.9.9.9/udp/4001/quic-v1", true),
            ("/ip6/::1/tcp/4001", true),
            ("/ip4/0.0.0.0/tcp/4001", false),
            ("/ip4/192.168.0.1/tcp/4001", false),
            ("/ip6/fe80::1/tcp/4001", false),
            ("/dns4/localhost/tcp/4001", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_loopback(&text.parse().expect("an address")), expected, "{text}");
        }
    }
}
