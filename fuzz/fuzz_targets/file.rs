//! Any bytes as a capture file, pcap or pcapng: frames or an error, never more.

#![no_main]

use inspect::capture::{Event, File, Source, decode};
use inspect::selection::Selection;
use inspect::stop::Stop;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("inspect-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a file to read");
    let stop = Stop::new().expect("a stop signal");
    let Ok(mut file) = File::open(&path, &Selection::everything(), "", stop) else {
        return;
    };
    let mut frames = 0usize;
    loop {
        let link = file.link();
        match file.next() {
            Ok(Event::Frame(frame)) => {
                let _ = decode(link, &frame);
                frames += 1;
                // Each has a header of its own.
                assert!(frames * 12 <= bytes.len());
            }
            Ok(Event::End) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let _ = file.gaps();
});
