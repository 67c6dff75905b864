fn main() -> std::process::ExitCode {
    inspect::run()
}
