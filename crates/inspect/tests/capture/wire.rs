//! Two machines with a wire between them, as network namespaces of this test's own.

use std::process::Command;

/// Two namespaces with a wire between them, deleted when they are dropped.
pub(crate) struct Wire([String; 2]);

impl Wire {
    pub(crate) fn new(purpose: &str) -> Self {
        let name = |side| format!("{purpose}-{side}-{}", std::process::id());
        let wire = Self([name("a"), name("b")]);
        for name in &wire.0 {
            run("ip", &["netns", "add", name]);
        }
        let [a, b] = &wire.0;
        let veth = ["type", "veth", "peer", "name", "wire", "netns", b];
        run(
            "ip",
            &[&["link", "add", "wire", "netns", a][..], &veth].concat(),
        );
        for (name, address) in [(a, "10.9.0.1/24"), (b, "10.9.0.2/24")] {
            run(
                "ip",
                &["-n", name, "address", "add", address, "dev", "wire"],
            );
            // What is lost shall be segments as they are on a wire, not the kernel's larger ones.
            run(
                "ip",
                &["-n", name, "link", "set", "wire", "gso_max_segs", "1"],
            );
            for interface in ["lo", "wire"] {
                run("ip", &["-n", name, "link", "set", interface, "up"]);
            }
        }
        wire
    }

    /// The namespace of a side.
    pub(crate) fn name(&self, side: usize) -> &str {
        &self.0[side]
    }

    /// `ip`, on one side.
    pub(crate) fn ip(&self, side: usize, arguments: &[&str]) {
        run("ip", &[&["-n", &self.0[side]][..], arguments].concat());
    }

    pub(crate) fn inside(&self, side: usize, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.0[side]])
            .arg(command.get_program())
            .args(command.get_args());
        inside
    }

    pub(crate) fn python(&self, side: usize, program: &str) -> Command {
        let mut python = Command::new("python3");
        python.args(["-c", program]);
        self.inside(side, &python)
    }
}

impl Wire {
    /// Rules of nftables, on one side.
    pub(crate) fn nft(&self, side: usize, words: &str) -> String {
        let mut nft = self.inside(side, &Command::new("nft"));
        let output = nft.args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A child that does not outlive its test.
pub(crate) struct Reaped(pub(crate) std::process::Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
