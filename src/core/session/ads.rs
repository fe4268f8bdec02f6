//! Ads of a session: at most one that plays and one that is loaded.

use super::Reject;
use super::fact::{AdRecord, Fact, Head};
use crate::player::{Ad, AdKind, AdPhase, AdStatus};
use crate::time::Millis;

/// The ads that are not over.
#[derive(Debug, Clone, Default)]
pub(super) struct Ads {
    loading: Option<Pending>,
    playing: Option<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    ad: Ad,
    kind: AdKind,
    head: Head,
    began: Millis,
    started: Option<Millis>,
}

/// What of the session an ad message is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    pub(super) at: Millis,
    pub(super) head: Head,
    pub(super) joined: bool,
    pub(super) paused_before: Millis,
}

impl Ads {
    pub(super) const fn any(&self) -> bool {
        self.loading.is_some() || self.playing.is_some()
    }

    pub(super) const fn plays(&self) -> bool {
        self.playing.is_some()
    }

    /// Whether the message makes sense here.
    pub(super) fn check(&self, ad: &Ad) -> Result<(), Reject> {
        let is = |pending: &Option<Pending>| {
            pending.as_ref().is_some_and(|known| ad.id.is_empty() || known.ad.id == ad.id)
        };
        match ad.phase {
            AdPhase::Load if self.loading.is_some() => Err(Reject::AdRuns),
            AdPhase::Start if self.playing.is_some() => Err(Reject::AdRuns),
            AdPhase::Start if self.loading.is_some() && !is(&self.loading) => Err(Reject::AdRuns),
            AdPhase::End if !is(&self.playing) && !is(&self.loading) => Err(Reject::NoAd),
            _ => Ok(()),
        }
    }

    /// Takes a message that was checked.
    pub(super) fn handle(&mut self, ad: Ad, scene: Scene, tell: &mut impl FnMut(Fact)) {
        match ad.phase {
            AdPhase::Load => {
                tell(Fact::AdBegan { paused_before: scene.paused_before });
                self.loading = Some(Pending::new(ad, scene));
            }
            AdPhase::Start => {
                let mut pending = if let Some(mut loaded) = self.loading.take() {
                    loaded.ad.update(ad);
                    loaded
                } else {
                    tell(Fact::AdBegan { paused_before: scene.paused_before });
                    Pending::new(ad, scene)
                };
                pending.started = Some(scene.at);
                tell(Fact::AdStarted(Box::new(pending.ad.clone())));
                self.playing = Some(pending);
            }
            AdPhase::End => {
                let is_playing =
                    self.playing.as_ref().is_some_and(|known| ad.id.is_empty() || known.ad.id == ad.id);
                let ended = if is_playing { self.playing.take() } else { self.loading.take() };
                if let Some(mut pending) = ended {
                    let status = ad.status.unwrap_or_default();
                    pending.ad.update(ad);
                    tell(Fact::AdEnded(Box::new(pending.end(scene.at, status))));
                }
            }
        }
    }

    /// The session is over: what runs ends with it.
    pub(super) fn end(&mut self, at: Millis, status: AdStatus, tell: &mut impl FnMut(Fact)) {
        for pending in [self.playing.take(), self.loading.take()].into_iter().flatten() {
            tell(Fact::AdEnded(Box::new(pending.end(at, status))));
        }
    }
}

impl Pending {
    fn new(ad: Ad, scene: Scene) -> Self {
        let kind = ad.kind.unwrap_or(if scene.joined { AdKind::Mid } else { AdKind::Pre });
        Self { ad, kind, head: scene.head, began: scene.at, started: None }
    }

    fn end(self, at: Millis, status: AdStatus) -> AdRecord {
        let Self { ad, kind, head, began, started } = self;
        let kind = ad.kind.unwrap_or(kind);
        AdRecord {
            ad,
            kind,
            head,
            startup: started.unwrap_or(at).since(began),
            played: started.map_or(Millis(0), |started| at.since(started)),
            started: started.is_some(),
            status,
        }
    }
}
