//! `inspect sockets -e`: who it is that holds each socket.

use std::process::Command;

use super::recorded::timeless;
use super::support::{
    by_nobody, expect_screen, fixture, have_root, inspect, readable_copy, run, run_on_terminal,
};
use super::target::{Target, of_type, python, records};

fn recorded(arguments: &[&str]) -> Command {
    let mut command = inspect();
    command
        .current_dir(fixture(""))
        .env("TZ", "UTC")
        .args(["sockets", "--proc-root", "proc-pool"])
        .args(arguments);
    command
}

#[test]
fn the_recorded_tree_on_three_terminals() {
    for columns in [60, 80, 200] {
        let shown = run_on_terminal(recorded(&["-e", "-q", "--color=never"]).arg("-l"), columns);
        for line in shown.lines() {
            assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
        }
        expect_screen(&format!("extended-{columns}.txt"), &shown);
    }
    let ascii = run_on_terminal(recorded(&["-e", "-q"]).env("LANG", "C"), 80);
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn the_recorded_tree_for_programs() {
    let mut printed = String::new();
    for arguments in [
        &["-e", "-l"][..],
        &["-e", "-l", "--format", "csv"],
        &[
            "--columns",
            "local,unit,container,since,directory,command",
            ":8000",
        ],
    ] {
        let answer = run(&mut recorded(arguments));
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        printed += &format!("$ inspect sockets {}\n", arguments.join(" "));
        printed += &answer.stdout;
        assert!(!answer.stdout.contains('\u{1b}'));
    }
    let json = run(recorded(&["-e", "-l", "--json"]).arg("-u"));
    for line in json.stdout.lines() {
        printed += &timeless(line);
    }
    expect_screen("extended-pipe.txt", &printed);
}

#[test]
fn without_it_records_are_as_they_were() {
    let plain = run(&mut recorded(&["--json", ":8000"]));
    assert!(!plain.stdout.contains("\"process\":"), "{}", plain.stdout);
    let extended = run(&mut recorded(&["--json", "-e", ":8000"]));
    assert!(extended.stdout.contains("\"process\":{"));
}

const SERVER: &str = "s = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1])";

#[test]
fn a_real_owner_says_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("a \u{1b}[31m place");
    std::fs::create_dir(&directory).unwrap();
    let target = Target::run(
        Command::new("python3")
            .args(["-c", &python(SERVER)])
            .current_dir(&directory),
    );
    let (pid, port) = (target.pid(), format!(":{}", target.said[0]));

    let records = records(inspect().args(["sockets", "-e", "--json", &port]));
    let sockets = of_type(&records, "socket");
    assert_eq!(sockets.len(), 1);
    let owner = &sockets[0]["owners"][0];
    assert_eq!(owner["pid"].to_string(), pid);
    assert!(owner["started"].is_string());
    let about = &owner["process"];
    assert_eq!(about["directory"], directory.to_str().unwrap());
    assert_eq!(about["command_line"][1], "-c");
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(
        cgroup.contains(about["cgroup"].as_str().unwrap()),
        "{cgroup}"
    );

    let shown = run_on_terminal(
        inspect().args(["sockets", "-e", &port, "--color=never"]),
        100,
    );
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let inode = sockets[0]["inode"].to_string();
    assert!(shown.contains(&format!("inode {inode}")), "{shown}");
    assert!(
        shown.contains(&format!(" python3[{pid}]: since ")),
        "{shown}"
    );
    assert!(shown.contains(" -c 'import os, socket, sys"), "{shown}");
    assert!(shown.contains("in /"), "{shown}");
    assert!(shown.contains("a \\u{1b}[31m"), "{shown}");

    // In a pipe the same in columns, one line.
    let printed = run(inspect().args(["sockets", "-e", &port]));
    let lines: Vec<&str> = printed.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", printed.stdout);
    for title in [
        "NETNS",
        "INODE",
        "COOKIE",
        "V6ONLY",
        "UNIT",
        "SINCE",
        "DIRECTORY",
        "COMMAND",
    ] {
        assert!(
            lines[0].split_whitespace().any(|word| word == title),
            "{title}"
        );
    }
    let at = lines[0].find("DIRECTORY").unwrap();
    let cell = lines[1].chars().skip(at).collect::<String>();
    let path = directory.to_str().unwrap().replace('\u{1b}', "\\u{1b}");
    assert!(cell.starts_with(&path), "{}", printed.stdout);
}

#[test]
fn an_ordinary_user_is_told_of_his_own_and_not_of_others() {
    if !have_root("an_ordinary_user_is_told_of_his_own_and_not_of_others") {
        return;
    }
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().unwrap();
    let program = readable_copy(folder.path());
    let own = Target::run(
        Command::new("python3")
            .args(["-c", &python(SERVER)])
            .uid(65534)
            .gid(65534)
            .current_dir("/"),
    );
    let others = Target::python(SERVER);
    let look = |target: &Target| {
        let port = format!(":{}", target.said[0]);
        run(by_nobody(&program).args(["sockets", "-e", &port, "-l"]))
    };
    let printed = look(&own);
    assert!(
        printed.stdout.contains("'import os, socket, sys"),
        "{}",
        printed.stdout
    );
    let printed = look(&others);
    let row = printed.stdout.lines().nth(1).unwrap();
    assert!(row.contains("hidden (user root)"), "{row}");
    assert!(row.ends_with("hidden"), "{row}");
    assert!(!row.contains("import os"), "{row}");
}
