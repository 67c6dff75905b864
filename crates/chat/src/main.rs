fn main() -> std::process::ExitCode {
    chat::run()
}
