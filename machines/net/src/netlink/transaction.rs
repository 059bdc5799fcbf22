//! Many requests of which all are done or none (nfnetlink's batches).

use rustix::io::Errno;

use super::message::Message;
use super::socket::{Failure, Socket};

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;

/// A transaction that was not done.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The first message that the kernel refused, unless it refused all as a whole.
    pub(crate) index: Option<usize>,
    pub(crate) failure: Failure,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { index: None, failure }
    }
}

impl Socket {
    /// Does all of `messages`, or none.
    pub(crate) fn transaction(&mut self, subsystem: u16, messages: &[&Message]) -> Result<(), Refused> {
        let [high, low] = subsystem.to_be_bytes();
        let mark = |kind| Message::new(kind, 0, &[0, 0, high, low]);
        let begin = mark(BEGIN);
        let all: Vec<&Message> = [&begin].into_iter().chain(messages.iter().copied()).collect();
        let first = self.send_marked(&all, &mark(END))?;
        // The kernel has done it all when the call is back, and put what it has to say in our queue.
        let mut refused: Option<(u32, Failure)> = None;
        let mut heard = false;
        self.drain(|sequence, outcome| {
            let index = sequence.wrapping_sub(first);
            heard = true;
            if let Err(failure) = outcome
                && refused.as_ref().is_none_or(|(least, _)| index < *least)
            {
                refused = Some((index, failure));
            }
        })?;
        match refused {
            None if heard => Ok(()),
            None => Err(Failure::from(Errno::PROTO).into()),
            Some((index, failure)) => {
                let index = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
                Err(Refused { index: index.filter(|index| *index < messages.len()), failure })
            }
        }
    }
}
