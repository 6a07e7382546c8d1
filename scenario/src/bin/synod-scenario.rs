//! Runs one scenario and prints what it showed as JSON: `synod-scenario FILE [SEED]`. It is what a test starts to compare two
//! processes, and is built without the network code that `synod sim` comes with.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use synod_scenario::exam::{Wanted, examine};
use synod_scenario::{Scenario, Watch};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: synod-scenario FILE [SEED]")?;
    let scenario = Scenario::parse(&std::fs::read_to_string(&path)?)?;
    let seed = arguments.next().map_or(Ok(scenario.seed), |seed| seed.parse())?;
    let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
    let plan = scenario.plan(seed, |name| std::fs::read_to_string(folder.join(name)))?;
    let wanted = Wanted { checks: scenario.checks.clone(), ..Wanted::default() };
    let ran = examine(plan, &wanted, |_| Watch::GoOn);
    println!("{}", serde_json::to_string_pretty(&ran.outcome)?);
    if let Some(broken) = ran.broken {
        eprintln!("FAILED scenario={path} seed={seed} {broken}");
        return Ok(ExitCode::from(5));
    }
    Ok(ExitCode::SUCCESS)
}
