//! A record in Chrome's trace event format (<https://ui.perfetto.dev> opens it, and `chrome://tracing`): a thread for each
//! traced peer, a slice for each happening, an arrow for each message from where it was sent to where it was received.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use synod_machine::PeerId;

use super::text::quote;
use super::{Happening, Recorder, What};

/// Writes the record to `to`, which is best buffered. `names` gives the threads their names.
///
/// A step takes no virtual time, but a slice needs a length to be seen and to hold an arrow's end. It has a microsecond, or
/// less where the same peer's next one is nearer; those of one instant follow each other by a nanosecond, so that none hides
/// another.
pub fn chrome(recorder: &Recorder, names: impl Fn(PeerId) -> String, mut to: impl io::Write) -> io::Result<()> {
    to.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
    to.write_all(metadata(0, "process_name", "name", |json| quote("world", json)).as_bytes())?;
    for &peer in recorder.traced() {
        let name = metadata(thread(peer), "thread_name", "name", |json| quote(&names(peer), json));
        let order = metadata(thread(peer), "thread_sort_index", "sort_index", |json| append(json, peer.0));
        write!(to, ",\n{name},\n{order}")?;
    }
    let slices = slices(recorder.happenings());
    for (happening, slice) in recorder.happenings().iter().zip(&slices) {
        write!(to, ",\n{}", event(happening, *slice, &names))?;
        let arrived = matches!(happening.what, What::Message { .. }).then_some(happening.cause).flatten();
        if let Some(place) = arrived.and_then(|sent| recorder.place(sent)) {
            let sent = &recorder.happenings()[place];
            let start = arrow(happening, r#""ph":"s""#, sent.peer, slices[place]);
            let finish = arrow(happening, r#""ph":"f","bp":"e""#, happening.peer, *slice);
            write!(to, ",\n{start},\n{finish}")?;
        }
    }
    to.write_all(b"\n]}\n")
}

/// Where a happening is drawn, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    begin: u64,
    length: u64,
}

const LENGTH_MAX: u64 = 1_000;

/// One for each happening. Those of a peer do not overlap.
fn slices(happenings: &[Happening]) -> Vec<Slice> {
    let mut next = HashMap::new();
    let mut slices: Vec<Slice> = happenings
        .iter()
        .rev()
        .map(|happening| {
            let begin = happening.at.0;
            let gap = next.insert(happening.peer, begin).map_or(LENGTH_MAX, |next| next - begin);
            Slice { begin, length: gap.clamp(1, LENGTH_MAX) }
        })
        .collect();
    slices.reverse();
    let mut ends: HashMap<PeerId, u64> = HashMap::new();
    for (happening, slice) in happenings.iter().zip(&mut slices) {
        let end = ends.entry(happening.peer).or_insert(0);
        let late = end.saturating_sub(slice.begin);
        slice.begin += late;
        slice.length = slice.length.saturating_sub(late).max(1);
        *end = slice.begin + slice.length;
    }
    slices
}

fn event(happening: &Happening, slice: Slice, names: &impl Fn(PeerId) -> String) -> String {
    let mut json = r#"{"name":"#.to_owned();
    quote(&happening.title(names), &mut json);
    let head =
        format!(r#","cat":"{}","ph":"X","pid":{PROCESS},"tid":{}"#, category(happening.what), thread(happening.peer));
    append(&mut json, head);
    append(&mut json, format_args!(r#","ts":{},"dur":{}"#, micros(slice.begin), micros(slice.length)));
    append(&mut json, format_args!(r#","args":{{"step":{},"lamport":{}"#, happening.step, happening.lamport));
    if let Some(cause) = happening.cause {
        append(&mut json, format_args!(r#","cause":{cause}"#));
    }
    if !happening.text.is_empty() {
        json.push_str(r#","text":"#);
        quote(&happening.text, &mut json);
    }
    json.push_str("}}");
    json
}

/// One end of the arrow of a message that arrived; its id is the arrival's.
fn arrow(arrived: &Happening, phase: &str, peer: PeerId, slice: Slice) -> String {
    let mut json = r#"{"name":"#.to_owned();
    quote(&arrived.name, &mut json);
    let place = format_args!(r#","pid":{PROCESS},"tid":{},"ts":{}}}"#, thread(peer), micros(slice.begin)).to_string();
    append(&mut json, format_args!(r#","cat":"message",{phase},"id":{}{place}"#, arrived.step));
    json
}

fn metadata(thread: u64, about: &str, key: &str, value: impl FnOnce(&mut String)) -> String {
    let mut json = format!(r#"{{"name":"{about}","ph":"M","pid":{PROCESS},"tid":{thread},"args":{{"{key}":"#);
    value(&mut json);
    json.push_str("}}");
    json
}

fn append(json: &mut String, what: impl std::fmt::Display) {
    write!(json, "{what}").expect("a string takes what is written");
}

/// The one process.
const PROCESS: u64 = 1;

/// A peer's thread. The first number is the process's own, which a viewer takes for its main thread, and 0 for none.
fn thread(peer: PeerId) -> u64 {
    PROCESS + 1 + u64::from(peer.0)
}

/// What it is coloured and searched by.
const fn category(what: What) -> &'static str {
    match what {
        What::Command => "command",
        What::Crash | What::Start => "life",
        What::Down(_) | What::Up(_) => "link",
        What::Lost { .. } => "lost",
        What::Message { .. } | What::Sent { .. } => "message",
        What::Timer => "timer",
    }
}

/// The format's unit.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}
