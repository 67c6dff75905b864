mod traffic;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let plan = traffic::Plan {
        packets: args[2].parse().unwrap(),
        new_hosts: args[3] == "many",
        seed: 1,
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&args[1]).unwrap());
    let truth = traffic::write(&plan, &mut out).unwrap();
    println!(
        "{} {} {} {} {}",
        truth.packets, truth.conversations, truth.on_2345, truth.again, truth.swapped
    );
}
