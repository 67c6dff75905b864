//! Cause before effect, and else by time.

use super::{Cause, Conversation, Event, What};

/// Puts the events into their order, and numbers them anew.
pub(super) fn order(conversation: &mut Conversation) {
    let events = std::mem::take(&mut conversation.events);
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for event in &events {
        for link in &event.links {
            match link.cause {
                // The segment is taken after it came.
                Cause::ReceivedBy => after[link.to].push(event.id),
                Cause::SentBy | Cause::CausedBy => after[event.id].push(link.to),
            }
        }
    }
    let mut by_time: Vec<usize> = (0..events.len()).collect();
    by_time.sort_by_key(|id| (events[*id].time, rank(&events[*id])));
    let mut order = Vec::with_capacity(events.len());
    let mut state = vec![State::Waits; events.len()];
    for id in by_time {
        place(id, &after, &mut state, &mut order);
    }
    let mut place_of = vec![0; events.len()];
    for (place, id) in order.iter().enumerate() {
        place_of[*id] = place;
    }
    let mut placed: Vec<Option<Event>> = events.into_iter().map(Some).collect();
    conversation.events = order
        .iter()
        .enumerate()
        .filter_map(|(place, id)| {
            let mut event = placed[*id].take()?;
            event.id = place;
            for link in &mut event.links {
                link.to = place_of[link.to];
            }
            Some(event)
        })
        .collect();
}

/// Of one moment: who calls, what state that brings, what goes out.
fn rank(event: &Event) -> u8 {
    match event.what {
        What::Call(_) => 0,
        What::State(_) => 1,
        What::Segment(_) => 2,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    /// Its causes are being placed: a ring of causes ends here.
    Begun,
    Placed,
}

/// Places an event behind its causes. Without recursion: a chain may be as long as a stream.
fn place(id: usize, after: &[Vec<usize>], state: &mut [State], order: &mut Vec<usize>) {
    let mut stack = vec![id];
    while let Some(&top) = stack.last() {
        match state[top] {
            State::Placed => {
                stack.pop();
            }
            State::Begun => {
                state[top] = State::Placed;
                order.push(top);
                stack.pop();
            }
            State::Waits => {
                state[top] = State::Begun;
                let causes = after[top].iter().rev();
                stack.extend(causes.filter(|cause| state[**cause] == State::Waits));
            }
        }
    }
}
