//! Whole experiments on small networks, and on a runner that makes figures up.

mod clusters;
mod grids;
mod runs;

/// Two engines on four and eight peers for a minute.
const SMALL: &str = r#"
name = "small"
repetitions = 2
warm-up = "10 s"
duration = "60 s"
settle = "60 s"

[scenario]
confirmations = 2
topology = { kind = "complete" }
links = { delay = "50 ms" }

[scenario.chain]
block-time = "5 s"
maturity = 10

[scenario.load]
rate = 2.0

[[axes]]
name = "peers"
fields = ["peers"]
values = [4, 8]

[[axes]]
name = "engine"

[[axes.cases]]
name = "pow"

[[axes.cases]]
name = "pbft"
set = { confirmations = 1, chain = { engine = { kind = "pbft", validators = "= peers" } } }
"#;
