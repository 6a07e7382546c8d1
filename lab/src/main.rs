//! The `synod` command. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    synod_lab::cli::main(std::env::args_os()).into()
}
