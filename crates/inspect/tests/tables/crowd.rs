//! A crowd that waits for accept().

use inspect::sockets::{Choice, Query, Table};

use crate::World;

#[test]
fn clients_that_the_kernel_cannot_list_are_counted_as_lost() {
    let test = "clients_that_the_kernel_cannot_list_are_counted_as_lost";
    let Some(world) = World::of("crowd.py", test) else {
        return;
    };
    let look = world.look(Choice::Diag, &Query::all_of([Table::Unix]));
    let waiting = look.sockets.iter().filter(|it| it.inode.is_none()).count();
    let lost: u64 = look.gaps.iter().filter_map(|gap| gap.count).sum();
    // Those of the small queue are listed where its message comes first.
    assert_eq!(
        u64::try_from(waiting).unwrap() + lost,
        9_003,
        "{:?}",
        look.gaps
    );
    assert!(lost >= 9_000, "{:?}", look.gaps);
    assert_eq!(look.gaps.len(), 1);
}
