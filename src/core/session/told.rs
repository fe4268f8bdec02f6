//! What the application has told about a session, put together.

use super::Reject;
use super::fact::Fact;
use crate::player::{Asset, Delivery, Dimensions, Measures, SessionEvent, Window};

/// How many dimensions of the operator's own a session has at most.
pub(super) const MAX_DIMENSIONS: usize = 64;

/// Everything that is only replaced, never counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    asset: Asset,
    dimensions: Dimensions,
    delivery: Delivery,
    pub(super) measures: Measures,
    pub(super) window: Window,
}

impl Told {
    /// Whether there is room for the dimensions.
    pub(super) fn check(&self, new: &Dimensions) -> Result<(), Reject> {
        let known = &self.dimensions.dimensions;
        let added = new.dimensions.keys().filter(|key| !known.contains_key(*key)).count();
        if known.len() + added > MAX_DIMENSIONS { Err(Reject::OutOfRange("dimensions")) } else { Ok(()) }
    }

    /// Takes over what `event` names, and says what is known now.
    pub(super) fn update(&mut self, event: SessionEvent) -> Option<Fact> {
        match event {
            SessionEvent::Asset(new) => {
                let switched = self.asset.is_left_for(&new);
                if switched {
                    // Another programme: nothing of the old one is true of it.
                    self.asset = *new;
                } else {
                    self.asset.update(*new);
                }
                Some(Fact::Asset { asset: Box::new(self.asset.clone()), switched })
            }
            SessionEvent::Dimensions(new) => {
                self.dimensions.dimensions.extend(new.dimensions);
                Some(Fact::Dimensions(Box::new(self.dimensions.clone())))
            }
            SessionEvent::Delivery(new) => {
                self.delivery.update(new);
                Some(Fact::Delivery(Box::new(self.delivery.clone())))
            }
            SessionEvent::Measures(new) => {
                self.measures.update(new);
                None
            }
            SessionEvent::Window(new) => {
                self.window.update(new);
                Some(Fact::Window(self.window))
            }
            _ => None,
        }
    }

    /// All that is known.
    pub(super) fn facts(&self) -> [Fact; 4] {
        [
            Fact::Asset { asset: Box::new(self.asset.clone()), switched: false },
            Fact::Dimensions(Box::new(self.dimensions.clone())),
            Fact::Delivery(Box::new(self.delivery.clone())),
            Fact::Window(self.window),
        ]
    }
}
