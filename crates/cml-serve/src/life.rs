//! The life of a job: one state, and one function that changes it.
//!
//! ```text
//! accepted ──begin──► running ──finish──► done ────deliver──► delivered
//!     │                  │        └─────► failed ──deliver──►     │
//!     └─────fail─────────│──────────────►   │                     │
//!     │                  │                  │                     │
//!     └─────abandon──────┴────abandon, expire───────expire────────┴──► expired
//! ```
//!
//! Nothing here knows how a job came in, where its files are or who counts its bytes: [`crate::ticket`] does these
//! things when the state changes, [`crate::queue`] and [`crate::desk`] ask for it.

use bytes::Bytes;
use std::fmt;

/// How a job ended: the file with the results, or why there is none.
pub(crate) type End = Result<Bytes, Failure>;

/// Why a job has no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// For people.
    pub(crate) text: String,
}

/// What a failure is to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The key is not there, or not any more.
    UnknownKey,
    /// A defect of the service.
    Internal,
    /// It failed before this process started, which does not know more.
    Earlier,
}

impl Cause {
    /// For the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::Internal => "internal",
            Self::Earlier => "failed",
        }
    }
}

impl Failure {
    pub(crate) fn new(cause: Cause, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cause, text }
    }
}

/// Where a job is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for its first turn.
    Accepted,
    /// It has had a turn, and may wait for more of them.
    Running,
    /// Its results have not been handed out.
    Done(Bytes),
    /// Nobody has been told that there are none.
    Failed(Failure),
    /// The answer was handed out to its end, and can be had again.
    Delivered(End),
    /// Nobody can have an answer any more: it was kept for its time, or made way for another job, or the caller went
    /// away before there was one.
    Expired,
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its turn has come.
    Begin,
    /// It has results, or there will be none.
    Finish(End),
    /// The answer was handed out to its end.
    Deliver,
    /// The caller went away, or was told that the job is not accepted after all.
    Abandon,
    /// Its answer is no longer kept.
    Expire,
}

/// An event that a job's state does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot {event}")]
pub(crate) struct Illegal {
    state: &'static str,
    event: &'static str,
}

impl State {
    /// The state after an event. The only place where a job's state changes.
    ///
    /// # Errors
    /// If the event cannot happen in this state; it stays as it was then.
    pub(crate) fn after(&self, event: Event) -> Result<Self, Illegal> {
        use Event::{Abandon, Begin, Deliver, Expire, Finish};
        use State::{Accepted, Delivered, Done, Expired, Failed, Running};
        match (self, event) {
            // A long job has many turns.
            (Accepted | Running, Begin) => Ok(Running),
            (Running, Finish(Ok(results))) => Ok(Done(results)),
            // One that never had a turn can fail, but has no results.
            (Accepted | Running, Finish(Err(failure))) => Ok(Failed(failure)),
            (Done(results), Deliver) => Ok(Delivered(Ok(results.clone()))),
            (Failed(failure), Deliver) => Ok(Delivered(Err(failure.clone()))),
            // It is there to be had again.
            (Delivered(end), Deliver) => Ok(Delivered(end.clone())),
            (Accepted | Running | Done(_) | Failed(_), Abandon) => Ok(Expired),
            (Done(_) | Failed(_) | Delivered(_), Expire) => Ok(Expired),
            // What was under way when nobody could have the answer any more comes to its end, and changes nothing.
            (Expired, Finish(_) | Deliver | Abandon | Expire) => Ok(Expired),
            (
                state @ (Accepted | Running | Done(_) | Failed(_) | Delivered(_) | Expired),
                event @ (Begin | Finish(_) | Deliver | Abandon | Expire),
            ) => Err(Illegal {
                state: state.name(),
                event: event.name(),
            }),
        }
    }

    /// Whether there will be an answer, but is none yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Accepted | Self::Running)
    }

    /// How it ended; none if it has not, or nobody can know any more.
    pub(crate) fn end(&self) -> Option<End> {
        match self {
            Self::Accepted | Self::Running | Self::Expired => None,
            Self::Done(results) => Some(Ok(results.clone())),
            Self::Failed(failure) => Some(Err(failure.clone())),
            Self::Delivered(end) => Some(end.clone()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Delivered(_) => "delivered",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Finish(Ok(_)) => "finish",
            Self::Finish(Err(_)) => "fail",
            Self::Deliver => "be delivered",
            Self::Abandon => "be abandoned",
            Self::Expire => "expire",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn results(byte: u8) -> End {
        Ok(Bytes::from(vec![byte]))
    }

    fn failure(text: &str) -> End {
        Err(Failure::new(Cause::Internal, text))
    }

    fn states() -> Vec<State> {
        let (done, failed) = (results(1), failure("x"));
        vec![
            State::Accepted,
            State::Running,
            State::Done(done.clone().unwrap()),
            State::Failed(failed.clone().unwrap_err()),
            State::Delivered(done),
            State::Delivered(failed),
            State::Expired,
        ]
    }

    fn events() -> Vec<Event> {
        vec![
            Event::Begin,
            Event::Finish(results(2)),
            Event::Finish(failure("y")),
            Event::Deliver,
            Event::Abandon,
            Event::Expire,
        ]
    }

    /// All 42 pairs, `-` for those that are illegal.
    #[test]
    fn every_event_in_every_state() {
        let rows = [
            // begin, finish, fail, deliver, abandon, expire
            ("accepted", ["running", "-", "failed", "-", "expired", "-"]),
            ("running", ["running", "done", "failed", "-", "expired", "-"]),
            ("done", ["-", "-", "-", "delivered", "expired", "expired"]),
            ("failed", ["-", "-", "-", "delivered", "expired", "expired"]),
            ("delivered", ["-", "-", "-", "delivered", "-", "expired"]),
            ("delivered", ["-", "-", "-", "delivered", "-", "expired"]),
            (
                "expired",
                ["-", "expired", "expired", "expired", "expired", "expired"],
            ),
        ];
        assert_eq!(states().len(), rows.len());
        for (state, (name, expected)) in states().into_iter().zip(rows) {
            assert_eq!(state.to_string(), name);
            for (event, expected) in events().into_iter().zip(expected) {
                let after = state.after(event.clone());
                let has = after.as_ref().map_or("-", State::name);
                assert_eq!(has, expected, "{name}: {event:?}");
            }
        }
        let illegal = State::Accepted.after(Event::Finish(results(1))).unwrap_err();
        assert_eq!(illegal.to_string(), "a job that is accepted cannot finish");
    }

    /// What the state stands for, as facts that are noted one by one.
    #[derive(Default)]
    struct Facts {
        begun: bool,
        end: Option<End>,
        delivered: bool,
        over: bool,
    }

    impl Facts {
        /// Notes an event; whether it can happen.
        fn note(&mut self, event: &Event) -> bool {
            let ended = self.end.is_some();
            match event {
                Event::Begin if ended || self.over => return false,
                Event::Begin => self.begun = true,
                _ if self.over => {}
                Event::Finish(Ok(_)) if !self.begun => return false,
                Event::Finish(_) if ended => return false,
                Event::Finish(end) => self.end = Some(end.clone()),
                Event::Deliver if !ended => return false,
                Event::Deliver => self.delivered = true,
                Event::Abandon if self.delivered => return false,
                Event::Expire if !ended => return false,
                Event::Abandon | Event::Expire => self.over = true,
            }
            true
        }

        fn agree_with(&self, state: &State) -> bool {
            let end = if self.over { None } else { self.end.clone() };
            state.end() == end
                && state.is_open() == (self.end.is_none() && !self.over)
                && matches!(state, State::Expired) == self.over
                && matches!(state, State::Running) == (self.begun && state.is_open())
                && matches!(state, State::Delivered(_)) == (self.delivered && !self.over)
        }
    }

    /// How far a life has come.
    fn age(state: &State) -> u8 {
        match state {
            State::Accepted => 0,
            State::Running => 1,
            State::Done(_) | State::Failed(_) => 2,
            State::Delivered(_) => 3,
            State::Expired => 4,
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Begin),
            2 => any::<u8>().prop_map(|byte| Event::Finish(results(byte))),
            1 => "[a-z]{0,3}".prop_map(|text| Event::Finish(failure(&text))),
            2 => Just(Event::Deliver),
            1 => Just(Event::Abandon),
            1 => Just(Event::Expire),
        ]
    }

    proptest! {
        #[test]
        fn any_sequence_of_events_is_a_life(events in proptest::collection::vec(any_event(), 0..24)) {
            let (mut state, mut facts) = (State::Accepted, Facts::default());
            for event in events {
                let is_legal = facts.note(&event);
                match state.after(event.clone()) {
                    Ok(after) => {
                        prop_assert!(is_legal, "{state}: {event:?}");
                        prop_assert!(age(&after) >= age(&state), "{state}: {event:?}");
                        if let (Some(before), Some(now)) = (state.end(), after.end()) {
                            prop_assert_eq!(before, now, "an end is final");
                        }
                        state = after;
                    }
                    Err(_) => prop_assert!(!is_legal, "{state}: {event:?}"),
                }
                prop_assert!(facts.agree_with(&state), "{state}");
            }
        }
    }
}
