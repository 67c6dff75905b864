//! What the README says is so: its exercise is done step by step on terminals, and the commands
//! of its tables are run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use support::{Terminal, command_line, have_root, program};

/// One at a time: the exercise is about port 2345.
static PORT_2345: Mutex<()> = Mutex::new(());

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).unwrap()
}

/// A transcript: the command after `$ `, and what it shows.
struct Transcript {
    command: String,
    shown: Vec<String>,
}

/// The transcripts of a section, in order.
fn transcripts(section: &str) -> Vec<Transcript> {
    let text = readme();
    let section = text
        .split("\n## ")
        .find(|part| part.starts_with(section))
        .expect(section);
    section
        .split("```console\n")
        .skip(1)
        .map(|block| {
            let mut lines = block.split("```").next().unwrap().lines();
            Transcript {
                command: lines.next().unwrap().strip_prefix("$ ").unwrap().to_owned(),
                shown: lines
                    .filter(|line| !line.is_empty())
                    .map(anonymous)
                    .collect(),
            }
        })
        .collect()
}

/// The line with what differs from run to run replaced: pids, client ports, times, and
/// descriptors beyond the first.
fn anonymous(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        if digits == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let number = &rest[..digits];
        let replaced = if out.ends_with('[') {
            "PID"
        } else if out.ends_with(':') && digits == 5 {
            "PORT"
        } else if out.ends_with("fd ") && number != "3" {
            "FD"
        } else if digits == 2 && (rest[digits..].starts_with(':') || out.ends_with("TT:")) {
            "TT"
        } else if digits == 6 && out.ends_with('.') {
            "MICROS"
        } else {
            number
        };
        out.push_str(replaced);
        rest = &rest[digits..];
    }
    // Columns are as wide as what stands in them.
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn anonymous_lines(text: &str) -> Vec<String> {
    text.lines().map(anonymous).collect()
}

fn expect_lines(shown: &str, expected: &[String]) {
    let lines = anonymous_lines(shown);
    for line in expected {
        assert!(
            lines.contains(line),
            "the README shows {line:?}, but:\n{shown}"
        );
    }
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    assert_eq!(
        anonymous("12:00:01.000207  #1 →  chat[4845] 127.0.0.1:52316 fd 11, fd 3 :2345 len 5"),
        "TT:TT:TT.MICROS #1 → chat[PID] 127.0.0.1:PORT fd FD, fd 3 :2345 len 5"
    );
}

#[test]
fn the_exercise_step_by_step() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let steps = transcripts("The exercise, step by step");
    let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(
        commands,
        [
            "chat server",
            "chat client",
            "inspect sockets :2345",
            "sudo inspect capture --port 2345",
            "chat pair --count 2"
        ],
        "this test does these steps"
    );

    let mut server = Terminal::run(&mut command_line(commands[0]), 80);
    let shown = server.wait_for(|text| text.contains("Waiting for a client."), "the server");
    expect_lines(&shown, &steps[0].shown);

    let mut client = Terminal::run(&mut command_line(commands[1]), 80);
    client.wait_for(|text| text.contains("> "), "the client's prompt");
    client.type_keys("hello\r");
    let shown = client.wait_for(|text| text.contains("> hello"), "the client's line");
    expect_lines(&shown, &steps[1].shown);
    server.wait_for(|text| text.contains("1  hello"), "hello at the server");
    server.wait_for(|text| text.contains("to 1> "), "the server's prompt");
    server.type_keys("hi\r");
    client.wait_for(|text| text.contains("server: hi"), "hi at the client");

    let (code, shown) = Terminal::run(&mut command_line(commands[2]), 80).end();
    assert_eq!(code, Some(0));
    let mut lines = anonymous_lines(&shown);
    // Earlier conversations on this machine, and those of other networks, are not the README's
    // business.
    lines.retain(|line| {
        !line.contains("TIME_WAIT not shown") && !line.starts_with("Another network namespace")
    });
    assert_eq!(lines, steps[2].shown, "{shown}");

    if have_root("the capture of the_exercise_step_by_step") {
        let capture = commands[3].strip_prefix("sudo ").unwrap();
        let capture = Terminal::run(&mut command_line(capture), 80);
        capture.wait_for(|text| text.contains("Capturing port 2345"), "the capture");
        client.type_keys("hello\r");
        capture.wait_for(|text| text.contains("←  ACK"), "hello acknowledged");
        server.type_keys("hi\r");
        let shown = capture.wait_for(|text| text.matches("ACK").count() >= 4, "hi acknowledged");
        assert_eq!(anonymous_lines(&shown), steps[3].shown, "{shown}");
        capture.interrupt();
        let (code, shown) = capture.end();
        assert_eq!(code, Some(0), "{shown}");
        assert!(
            shown.contains("4 packets, 1 conversation, 9 bytes of payload. None dropped."),
            "{shown}"
        );
    }

    client.type_keys("\u{4}");
    server.wait_for(|text| text.contains("1  left"), "the client's leave");
    drop((client, server));

    let (code, shown) = Terminal::run(&mut command_line(commands[4]), 80).end();
    assert_eq!(code, Some(0), "{shown}");
    // The hint names the program beside this one, wherever that is.
    let installed = shown.replace(program("inspect").to_str().unwrap(), "inspect");
    assert_eq!(anonymous_lines(&installed), steps[4].shown, "{shown}");
}

#[test]
fn what_was_said_and_what_went_wrong() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let steps = transcripts("What was said, and what went wrong");
    let [follow, summary] = &steps[..] else {
        panic!("this test does two steps");
    };
    if !have_root("what_was_said_and_what_went_wrong") {
        return;
    }
    // Where a line breaks is a matter of how long the ids are.
    let joined = |lines: &[String]| lines.join(" ");
    let command = follow.command.strip_prefix("sudo ").unwrap();
    let capture = Terminal::run(&mut command_line(command), 80);
    capture.wait_for(|text| text.contains("Capturing port 2345"), "the capture");
    let pair = Terminal::run(&mut command_line("chat pair --count 2"), 80);
    let shown = capture.wait_for(
        |text| text.contains("closed by server"),
        "the end of the pair",
    );
    assert_eq!(
        joined(&anonymous_lines(&shown)),
        joined(&follow.shown),
        "{shown}"
    );
    drop(pair);
    capture.interrupt();
    let (code, shown) = capture.end();
    assert_eq!(code, Some(0), "{shown}");

    let command = summary.command.strip_prefix("sudo ").unwrap();
    let mut command = command_line(command);
    command.env("PATH", path_with_ours());
    let (code, shown) = Terminal::run(&mut command, 80).end();
    assert_eq!(code, Some(1), "the command's own: {shown}");
    let words = joined(&anonymous_lines(&shown));
    // How long it took is not the README's business.
    for part in summary.shown.iter().filter(|line| !line.contains(" µs ")) {
        assert!(words.contains(part.as_str()), "{part}: {shown}");
    }
}

#[test]
fn the_calls_and_all_of_it_in_one_picture() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let steps = transcripts("The calls, and all of it in one picture");
    let [trace, timeline] = &steps[..] else {
        panic!("this test does two steps");
    };
    if !have_root("the_calls_and_all_of_it_in_one_picture") {
        return;
    }
    let server = Terminal::run(&mut command_line("chat server --reply hi"), 80);
    server.wait_for(|text| text.contains("Listening on"), "the server");
    let folder = tempfile::tempdir().unwrap();
    // How long anything took is not the README's business.
    let timeless = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_unit = |word: &str| matches!(word, "ns" | "µs" | "ms" | "s");
        let is_time = |at: usize| {
            let next = words.get(at + 1).is_some_and(|word| is_unit(word));
            is_unit(words[at]) || next && words[at].starts_with(|c: char| c.is_ascii_digit())
        };
        let kept = (0..words.len())
            .filter(|at| !is_time(*at))
            .map(|at| words[at]);
        let line = kept.collect::<Vec<_>>().join(" ");
        // The arrows are as long as there is room.
        line.split('─')
            .filter(|part| !part.is_empty())
            .collect::<String>()
    };
    let mut server = Some(server);
    for step in [trace, timeline] {
        let command = step.command.replace("sudo ", "");
        if command.contains("chat pair") {
            // It has the port itself.
            server.take();
        }
        let (code, text) = shell(&command, folder.path());
        assert_eq!(code, Some(0), "{command}: {text}");
        let shown: Vec<String> = anonymous_lines(&text)
            .iter()
            .map(|line| timeless(line))
            .collect();
        // When the server's side is told of is its own business.
        for line in step.shown.iter().filter(|line| line.contains('(')) {
            let line = timeless(line);
            assert!(shown.contains(&line), "{line}\n{shown:#?}\n{text}");
        }
    }
}

#[test]
fn the_process_of_the_exercise() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let steps = transcripts("One process");
    let one = steps.first().expect("the process of the exercise");
    assert_eq!(one.command, "inspect process 4845");
    let server = Terminal::run(&mut command_line("chat server"), 80);
    server.wait_for(|text| text.contains("Waiting for a client."), "the server");
    let client = Terminal::run(&mut command_line("chat client"), 80);
    server.wait_for(|text| text.contains("joined"), "the client at the server");
    let command = format!("inspect process {}", server.pid());
    let (code, shown) = Terminal::run(&mut command_line(&command), 80).end();
    assert_eq!(code, Some(0), "{shown}");
    let (lines, expected) = (anonymous_lines(&shown), &one.shown);
    // The sentence breaks where the ids let it.
    let sentence = |lines: &[String]| {
        let until_user = lines.iter().take_while(|line| !line.starts_with("user"));
        until_user
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    };
    assert_eq!(sentence(&lines), sentence(expected), "{shown}");
    // Of the facts what they are about; a session that has a unit says so too.
    let keys = [
        "user",
        "command",
        "program",
        "directory",
        "parent",
        "threads",
        "descriptors",
    ];
    for key in keys {
        let told = |lines: &[String]| {
            lines
                .iter()
                .any(|line| line.starts_with(&format!("{key} ")))
        };
        assert!(told(expected) && told(&lines), "{key}: {shown}");
    }
    // Which number the accepted descriptor gets is a race of the server's own: its prompt opens the
    // terminal at about the same time.
    let without_fd = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
    let rows: Vec<Option<String>> = lines.iter().map(|line| without_fd(line)).collect();
    for line in expected.iter().filter(|line| line.contains("127.0.0.1:")) {
        assert!(rows.contains(&without_fd(line)), "{line}: {shown}");
    }
    drop((client, server));
}

#[test]
fn the_port_of_the_exercise() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let steps = transcripts("One port");
    let [taken, left] = &steps[..] else {
        panic!("this test does two steps");
    };
    let server = Terminal::run(&mut command_line("chat server"), 80);
    server.wait_for(|text| text.contains("Waiting for a client."), "the server");
    let client = Terminal::run(&mut command_line("chat client"), 80);
    server.wait_for(|text| text.contains("joined"), "the client at the server");
    let (code, shown) = Terminal::run(&mut command_line(&taken.command), 80).end();
    assert_eq!(code, Some(0), "{shown}");
    let lines = anonymous_lines(&shown);
    assert_eq!(taken.command, "inspect port 2345");
    for (expected, line) in taken.shown.iter().zip(&lines) {
        let (key, _) = expected.split_once(' ').unwrap();
        match key {
            // Whose it is, and how it was started, is another matter here.
            "process" | "command" | "directory" => assert!(line.starts_with(key), "{shown}"),
            // Earlier conversations on this machine are not the README's business.
            "connections" => assert!(line.starts_with(expected), "{shown}"),
            _ => assert_eq!(line, expected, "{shown}"),
        }
    }

    // The side that closes first keeps the TIME_WAIT.
    server.interrupt();
    server.end();
    client.wait_for(|text| text.contains("Server closed"), "the server's leave");
    drop(client);
    let command = left.command.strip_prefix("sudo ").unwrap();
    if have_root("what the_port_of_the_exercise leaves") {
        let (code, shown) = Terminal::run(&mut command_line(command), 80).end();
        assert_eq!(code, Some(0), "{shown}");
        let words = |lines: &[String]| lines.join(" ").replace(", which ends", "");
        let shown = words(&anonymous_lines(&shown));
        for part in words(&left.shown).split(" in 57 s. ") {
            let part = part.replace("1 TIME_WAIT", "");
            assert!(shown.contains(&part), "{part}: {shown}");
        }
    }
}

/// Commands in the given column of the tables of a section.
fn table_commands(section: &str, column: usize) -> Vec<String> {
    let text = readme();
    let section = text
        .split("\n## ")
        .find(|part| part.starts_with(section))
        .expect(section);
    section
        .lines()
        .filter(|line| line.starts_with('|') && line.contains('`'))
        .flat_map(|line| {
            // `\|` inside a cell is a pipe of the shell.
            let line = line.replace("\\|", "\u{0}");
            let cell = line.split('|').nth(column + 1).unwrap().to_owned();
            let commands: Vec<String> = cell
                .split('`')
                .skip(1)
                .step_by(2)
                .map(|command| command.replace('\u{0}', "|"))
                .collect();
            commands
        })
        .filter(|command| command.contains("inspect ") || command.contains("chat "))
        .collect()
}

/// Where programs are found, ours first.
fn path_with_ours() -> String {
    let programs = program("inspect");
    format!(
        "{}:{}",
        programs.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    )
}

/// Runs a line in a shell that finds our programs first.
fn shell(line: &str, folder: &Path) -> (Option<i32>, String) {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", path_with_ours())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn every_command_of_the_tables_runs() {
    let test = "every_command_of_the_tables_runs";
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let root = have_root(test);
    let folder = tempfile::tempdir().unwrap();
    // Something to look at: the pair of the exercise.
    let pair = Terminal::run(&mut command_line("chat pair --every 20ms"), 80);
    pair.wait_for(|text| text.contains("server  hi"), "the pair");

    let mut commands = table_commands("One example a command", 0);
    commands.extend(table_commands("You used to type", 1));
    assert!(commands.len() > 25, "{commands:?}");
    for line in commands {
        let line = line
            .replace("hello.pcap", "f.pcap")
            .replace("--pid 4845", &format!("--pid {}", std::process::id()));
        if line.starts_with("inspect port") {
            let (code, text) = shell(&line, folder.path());
            // Whether this machine has a web server is its own business.
            if line.contains("http") {
                assert!(text.contains(" 443 "), "{line}: {text}");
                continue;
            }
            assert_eq!(code, Some(0), "{line}: {text}");
            assert!(text.contains("chat-server"), "{line}: {text}");
        } else if line.starts_with("inspect doctor") {
            // Whether anything is wrong with this machine is not the README's business.
            let (code, text) = shell(&line, folder.path());
            assert!(matches!(code, Some(0 | 1)), "{line}: {text}");
            assert!(text.contains(" among "), "{line}: {text}");
        } else if line.starts_with("inspect sockets") {
            let (code, text) = shell(&line, folder.path());
            assert_eq!(code, Some(0), "{line}: {text}");
        } else if line.starts_with("inspect process") {
            let (code, text) = shell(&line, folder.path());
            // Whether an nginx runs here is not the README's business.
            let there = !line.ends_with("nginx");
            assert!(
                code == Some(0) || (code == Some(1) && !there),
                "{line}: {text}"
            );
        } else if line.starts_with("inspect capture") {
            if !root {
                continue;
            }
            let limited = if line.contains("-r ") || line.contains("-D") {
                line.clone()
            } else {
                line.replacen("inspect capture", "inspect capture --duration 500ms", 1)
            };
            let (code, text) = shell(&limited, folder.path());
            assert_eq!(code, Some(0), "{line}: {text}");
            let filters_else = line.contains("udp port 53");
            let wrote = line.contains("-w ") && !line.contains("--print");
            let lists = line.contains("-D") || line.contains("--summary");
            let hello = if line.contains("--follow") {
                "hello"
            } else {
                "\"hello\""
            };
            assert!(
                filters_else || wrote || lists || text.contains(hello),
                "{line}: {text}"
            );
        } else if line.starts_with("inspect trace") || line.starts_with("inspect timeline") {
            if !root {
                continue;
            }
            let view = line.split(' ').nth(1).unwrap();
            let is_command = line.contains(" -- ");
            let limited = match is_command {
                // It ends by itself: nobody listens there.
                true => line.clone(),
                false => line.replacen(view, &format!("{view} --duration 1500ms"), 1),
            };
            let (code, text) = shell(&limited, folder.path());
            assert_eq!(code, Some(i32::from(is_command)), "{line}: {text}");
            let shows = match (is_command, view) {
                (true, "trace") if line.contains(" -c ") => "ERRORS",
                (true, "trace") => "ECONNREFUSED",
                (true, _) => "\"RST\"",
                (false, "trace") => "\"hello\"",
                (false, _) => "── 5 \"hello\" ──",
            };
            assert!(text.contains(shows), "{line}: {text}");
        } else if line.starts_with("printf") {
            let line = line.replace("chat client", "timeout 5 chat client --framing raw");
            let (code, text) = shell(&line, folder.path());
            assert_eq!(code, Some(0), "{line}: {text}");
            assert!(text.contains("server: hi"), "{line}: {text}");
        }
    }
    drop(pair);
}

/// Ends a program that goes on until it is told to.
fn interrupted(terminal: Terminal, line: &str) {
    terminal.interrupt();
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{line}: {shown}");
}

#[test]
fn every_chat_of_the_tables_talks() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let folder = tempfile::tempdir().unwrap();
    let room = folder.path().join("room");
    let mut commands = table_commands("One example a command", 0);
    commands.extend(table_commands("You used to type", 1));
    commands.retain(|line| line.starts_with("chat "));
    assert!(commands.len() >= 8, "{commands:?}");
    for line in commands {
        let line = line.replace("/tmp/room", room.to_str().unwrap());
        let listening = |text: &str| text.to_lowercase().contains("listening on");
        if line.starts_with("chat server") {
            let server = Terminal::run(&mut command_line(&line), 80);
            server.wait_for(listening, &line);
            interrupted(server, &line);
        } else if line.starts_with("chat client") {
            let place = if line.contains("--unix") {
                format!("--unix {}", room.display())
            } else {
                String::new()
            };
            let server = format!("chat server --reply hi {place}");
            let server = Terminal::run(&mut command_line(&server), 80);
            server.wait_for(listening, &line);
            let mut client = Terminal::run(&mut command_line(&line), 80);
            client.wait_for(|text| text.contains("> "), &line);
            client.type_keys("hello\r");
            client.wait_for(|text| text.contains("server: hi"), &line);
            interrupted(client, &line);
            interrupted(server, &line);
        } else {
            let pair = Terminal::run(&mut command_line(&line), 80);
            pair.wait_for(|text| text.contains("server  hi"), &line);
            let (code, shown) = pair.end();
            assert_eq!(code, Some(0), "{line}: {shown}");
        }
    }
}

#[test]
fn the_trouble_on_purpose() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let section = "Trouble on purpose";
    let commands = table_commands(section, 0);
    assert_eq!(commands.len(), 4, "{commands:?}");
    for line in commands {
        let pair = Terminal::run(&mut command_line(&line), 80);
        let fault = line.rsplit(' ').next().unwrap();
        let broken = format!("broken  {fault}, until Ctrl-C");
        pair.wait_for(|text| text.contains(&broken), &line);
        interrupted(pair, &line);
    }
    let step = &transcripts(section)[0];
    let pair = Terminal::run(&mut command_line(&step.command), 80);
    let shown = pair.wait_for(|text| text.contains("as many as asked for"), &step.command);
    // The hint names the program beside this one, wherever that is.
    let installed = shown.replace(program("inspect").to_str().unwrap(), "inspect");
    expect_lines(&installed, &step.shown);
    interrupted(pair, &step.command);
}

#[test]
fn the_doctor_names_the_trouble() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let section = "What is wrong";
    let step = &transcripts(section)[0];
    let pair = Terminal::run(&mut command_line("chat pair --break no-accept"), 80);
    pair.wait_for(|text| text.contains("queue full"), "a full accept queue");
    let (code, shown) = Terminal::run(&mut command_line(&step.command), 80).end();
    assert_eq!(code, Some(1), "{shown}");
    // How many sockets there are, and whether anything else is wrong, is this machine's business.
    expect_lines(&shown, &step.shown[1..]);
    assert!(shown.contains(" among "), "{shown}");
    interrupted(pair, "chat pair --break no-accept");
    // Every finding of the list has its title on the screen.
    let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    let screen = std::fs::read_to_string(screens.join("doctor-80.snap")).unwrap();
    let text = readme();
    let list = text.split("| finding | what shows it |").nth(1).unwrap();
    let titles: Vec<&str> = list
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').nth(1).unwrap().trim())
        .collect();
    assert_eq!(titles.len(), 13);
    for title in titles {
        assert!(screen.contains(&format!("\n{title} ")), "{title}");
    }
}

#[test]
fn the_tour_in_the_readme_is_the_tour() {
    let _one = PORT_2345
        .lock()
        .unwrap_or_else(|broken| broken.into_inner());
    let text = readme();
    let block = text
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let (code, shown) = Terminal::run(&mut command_line("net-companion"), 80).end();
    assert_eq!(code, Some(0));
    // In which order the last calls come is theirs; tests/tour.rs knows what has to be there.
    let is_told = have_root("the_tour_in_the_readme_is_the_tour: calls");
    let without_calls = |text: &str| {
        let (before, rest) = text.split_once("4  The calls").expect("the calls");
        let after = rest.find("Try it yourself").expect("the end");
        assert!(
            !is_told || rest.contains("5  All of it, one picture"),
            "{text}"
        );
        format!("{before}{}", &rest[after..])
    };
    let (shown, block) = (without_calls(&shown), without_calls(block));
    let block = block.as_str();
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| {
                // How many bare acknowledgements there are is the kernel's choice, and the
                // numbers in the prose are descriptors.
                let line = anonymous(line);
                let line = line.replace("/debug/", "/release/");
                line.split_whitespace()
                    .map(|word| {
                        if word.parse::<u32>().is_ok() {
                            "N"
                        } else {
                            word
                        }
                    })
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .filter(|line| !line.is_empty())
            .collect()
    };
    assert_eq!(lines(&shown), lines(block), "{shown}");
}
