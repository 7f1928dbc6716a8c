//! The program behind `make cluster`: real engines and a Kervan node on this machine, until Ctrl-C. See docs/cluster.md.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
