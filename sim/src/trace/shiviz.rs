//! A record as ShiViz reads it (<https://bestchai.bitbucket.io/shiviz/>): a space-time diagram that is drawn from vector
//! clocks.

use std::fmt::Write as _;

use synod_machine::PeerId;

use super::text::quote;
use super::{Happening, Recorder};

/// The record in ShiViz's log format. The file says itself how it is read: its first line is the expression that finds
/// host, clock and event, and its second, which parts several runs, is empty.
///
/// `names` gives each peer a name of its own; spaces in it become underscores, since the expression ends a host there.
pub fn shiviz(recorder: &Recorder, names: impl Fn(PeerId) -> String) -> String {
    let hosts: Vec<String> = recorder.traced().iter().map(|peer| host(&names(*peer))).collect();
    let mut log = format!("{EXPRESSION}\n\n");
    for happening in recorder.happenings() {
        let place = recorder.traced().binary_search(&happening.peer).expect("who is on record is traced");
        log.push_str(&hosts[place]);
        log.push(' ');
        clock(happening, &hosts, &mut log);
        let (title, text) = (happening.title(&names), &happening.text);
        let event = if text.is_empty() { title } else { format!("{title}: {text}") };
        let event = event.replace(char::is_control, " ");
        writeln!(log, "\n{} {event}", happening.at).expect("a string takes what is written");
    }
    log
}

const EXPRESSION: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";

fn host(name: &str) -> String {
    name.replace(|c: char| c.is_whitespace() || c.is_control(), "_")
}

/// A component that is left out is zero.
fn clock(happening: &Happening, hosts: &[String], log: &mut String) {
    let components = hosts.iter().zip(happening.vector.iter()).filter(|(_, count)| **count > 0);
    for (number, (host, count)) in components.enumerate() {
        log.push_str(if number == 0 { "{" } else { ", " });
        quote(host, log);
        write!(log, ":{count}").expect("a string takes what is written");
    }
    log.push('}');
}
