//! The `kervan` command. What it does stands in [`kervan::cli`], in the library, so that nothing is compiled twice.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    kervan::cli::run()
}
