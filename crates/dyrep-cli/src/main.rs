//! The program `dyrep`; all of it is in the library, so that it can be tested and used again.

fn main() -> std::process::ExitCode {
    dyrep_cli::main()
}
