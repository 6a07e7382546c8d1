//! A graph from a text: one link a line, strict, so that a cut or mixed-up file is not taken for a smaller network.

use std::collections::BTreeMap;

use super::super::graph::check_links;
use super::super::{Graph, ModelError};

/// The graph that a text lists the links of.
pub(super) fn parse(text: &str, peers: u32) -> Result<Graph, ModelError> {
    let mut links = BTreeMap::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let content = content.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let wrong = |expected: String| ModelError::Edge { line, expected, got: content.to_owned() };
        let Some((a, b)) = pair(content) else { return Err(wrong("two peers' numbers, as `0 17`".to_owned())) };
        if a.max(b) >= peers {
            return Err(wrong(format!("peers' numbers below {peers}, which is how many the scenario has")));
        }
        if a == b {
            return Err(wrong("two different peers".to_owned()));
        }
        if let Some(before) = links.insert((a.min(b), a.max(b)), line) {
            return Err(wrong(format!("each link once, and this one stands in line {before}")));
        }
    }
    check_links(links.len() as u64, "links")?;
    let links: Vec<_> = links.into_keys().collect();
    let graph = Graph::new(peers, &links);
    let parts = graph.parts();
    match parts.iter().position(|&part| part != 0) {
        None => Ok(graph),
        Some(peer) => {
            Err(ModelError::value("links", "a way from peer 0 to every peer", format!("none to peer {peer}")))
        }
    }
}

fn pair(content: &str) -> Option<(u32, u32)> {
    let mut words = content.split_ascii_whitespace();
    let (a, b) = (words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    Some((number(a)?, number(b)?))
}

/// Digits alone: no sign, which Rust's own reading allows.
fn number(word: &str) -> Option<u32> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_comments_and_empty_lines_are_read() {
        let graph = parse("# a star\n0 1\n\n 2\t0 # the last\r\n", 3).expect("the text is right");
        assert_eq!(graph.neighbours(0), [1, 2]);
        assert_eq!(graph.neighbours(1), [0]);
        assert_eq!(graph.neighbours(2), [0]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let mistakes = [
            ("0 1\n0", "line 2: expected two peers' numbers, as `0 17`, got `0`"),
            ("0 1 2", "line 1: expected two peers' numbers, as `0 17`, got `0 1 2`"),
            ("0 +1", "line 1: expected two peers' numbers, as `0 17`, got `0 +1`"),
            ("0,1", "line 1: expected two peers' numbers, as `0 17`, got `0,1`"),
            ("0 99999999999", "line 1: expected two peers' numbers, as `0 17`, got `0 99999999999`"),
            ("0 3", "line 1: expected peers' numbers below 3, which is how many the scenario has, got `0 3`"),
            ("\n1 1", "line 2: expected two different peers, got `1 1`"),
            ("0 1\n#\n1 0", "line 3: expected each link once, and this one stands in line 1, got `1 0`"),
            ("0 1", "links: expected a way from peer 0 to every peer, got none to peer 2"),
        ];
        for (text, message) in mistakes {
            assert_eq!(parse(text, 3).map_err(|error| error.to_string()), Err(message.to_owned()), "{text:?}");
        }
    }
}
