//! What becomes of requests: who is told what.

use tokio::sync::oneshot;

use super::{Job, Mail, NotNow};
use crate::filters::{Filter, NotDone};
use crate::receive::parcel::Parcel;

/// What somebody waits for. Who has gone away does not.
pub(super) enum Answer {
    Messages(Mail),
    Edit(Result<Vec<Filter>, NotDone>, oneshot::Sender<Result<Vec<Filter>, NotDone>>),
    Settle(oneshot::Sender<()>),
}

// === impl Job ===

impl Job {
    /// As it is where nothing was done about it.
    pub(super) fn unread(self) -> Answer {
        match self {
            Self::Messages(mail) => Answer::Messages(mail),
            Self::Edit(_, answer) => Answer::Edit(Err(NotDone::NotNow), answer),
            Self::Settle(answer) => Answer::Settle(answer),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(super) fn give(self) {
        match self {
            Self::Messages(mail) => _ = mail.answer.send(mail.result),
            Self::Edit(result, answer) => _ = answer.send(result),
            Self::Settle(answer) => _ = answer.send(()),
        }
    }

    /// It is not on the disk.
    pub(super) fn refuse(self) {
        match self {
            Self::Messages(mail) => _ = mail.answer.send(mail.result.and(Err(NotNow))),
            Self::Edit(_, answer) => _ = answer.send(Err(NotDone::NotNow)),
            // As far as it could be.
            Self::Settle(answer) => _ = answer.send(()),
        }
    }
}

/// What boxes have sent that is of use.
pub(super) fn parcels(answers: &[Answer]) -> impl Iterator<Item = &Parcel> {
    answers.iter().filter_map(|answer| match answer {
        Answer::Messages(Mail { parcel, result: Ok(()), .. }) => Some(parcel),
        Answer::Messages(_) | Answer::Edit(..) | Answer::Settle(_) => None,
    })
}
