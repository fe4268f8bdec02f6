//! What was told and asked already: so that it is told once, and asked seldom.

use stbeacon_core::player::{Bitrate, Tags};

/// How many errors are told apart.
const MAX_ERRORS: usize = 32;

/// What was told, so that it is told once.
#[derive(Debug, Default)]
pub(crate) struct Said {
    tags: Tags,
    bitrate: Bitrate,
    /// A demuxer that knows its renditions speaks; tags are no news then.
    adaptive: bool,
    errors: Vec<(String, String)>,
    /// Numbers of the newest seeks: the sinks of one pipeline see a seek one after the other.
    seeks: [u32; 4],
}

/// When to ask for the stream's length next: soon, then ever more rarely, since not every stream has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskDuration {
    left: u32,
    every: u32,
}

// === impl Said ===

impl Said {
    /// Whether this error is new. Sources' errors reach the application twice through playbin.
    pub(crate) fn is_new_error(&mut self, source: &str, code: &str) -> bool {
        let known = self.errors.iter().any(|(s, c)| s == source && c == code);
        if !known && self.errors.len() < MAX_ERRORS {
            self.errors.push((source.to_owned(), code.to_owned()));
        }
        !known
    }

    pub(crate) fn is_known_seek(&self, seqnum: u32) -> bool {
        self.seeks.contains(&seqnum)
    }

    pub(crate) fn remember_seek(&mut self, seqnum: u32) {
        self.seeks.rotate_right(1);
        if let Some(newest) = self.seeks.first_mut() {
            *newest = seqnum;
        }
    }

    /// What of these tags is new.
    pub(crate) fn new_tags(&mut self, tags: Tags) -> Option<Tags> {
        let fresh = |known: &mut Option<String>, new: Option<String>| {
            if new.is_none() || *known == new {
                return None;
            }
            known.clone_from(&new);
            new
        };
        let known = &mut self.tags;
        let news = Tags {
            title: fresh(&mut known.title, tags.title),
            video_codec: fresh(&mut known.video_codec, tags.video_codec),
            audio_codec: fresh(&mut known.audio_codec, tags.audio_codec),
            container: fresh(&mut known.container, tags.container),
        };
        Some(news).filter(|news| *news != Tags::default())
    }

    /// An adaptive demuxer speaks: from here on it is the one that says when the rendition changes.
    pub(crate) const fn hear_adaptive(&mut self) {
        self.adaptive = true;
    }

    /// The rendition that an adaptive demuxer has chosen, if it is another than before.
    pub(crate) fn new_rendition(&mut self, bitrate: Bitrate) -> Option<Bitrate> {
        if bitrate.bitrate == 0 || bitrate.bitrate == self.bitrate.bitrate {
            return None;
        }
        self.bitrate = bitrate.clone();
        Some(bitrate)
    }

    /// The bit rate that tags tell, if it is another than before.
    ///
    /// Below an adaptive demuxer it is measured anew for each fragment, and comes only as that is played: there
    /// it is no news.
    pub(crate) fn new_bitrate(&mut self, bitrate: Bitrate) -> Option<Bitrate> {
        if self.adaptive { None } else { self.new_rendition(bitrate) }
    }

    /// Whether the rendition that plays is not known.
    pub(crate) const fn is_rendition_unknown(&self) -> bool {
        self.bitrate.bitrate == 0
    }
}

// === impl AskDuration ===

impl AskDuration {
    /// Asks at the next tick.
    pub(crate) const fn soon() -> Self {
        Self { left: 0, every: 1 }
    }

    /// Whether this tick is one to ask at.
    pub(crate) const fn is_due(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = self.every;
        if self.every < 120 {
            self.every *= 2;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rate(bitrate: u64) -> Bitrate {
        Bitrate { bitrate, ..Bitrate::default() }
    }

    #[test]
    fn an_error_that_comes_twice_is_told_once() {
        let mut said = Said::default();
        assert!(said.is_new_error("/playbin/source", "gst-resource-error-quark:3"));
        assert!(!said.is_new_error("/playbin/source", "gst-resource-error-quark:3"));
        assert!(said.is_new_error("/playbin/source", "gst-resource-error-quark:5"));
        assert!(said.is_new_error("/playbin/demux", "gst-resource-error-quark:3"));
    }

    #[test]
    fn only_tags_that_changed_are_told() {
        let mut said = Said::default();
        let tags = |title: &str| Tags { title: Some(title.into()), ..Tags::default() };
        assert_eq!(said.new_tags(tags("News")), Some(tags("News")));
        assert_eq!(said.new_tags(tags("News")), None);
        assert_eq!(said.new_tags(Tags::default()), None);
        let both = Tags { video_codec: Some("H.264".into()), ..tags("News") };
        let news = Tags { video_codec: Some("H.264".into()), ..Tags::default() };
        assert_eq!(said.new_tags(both), Some(news));
    }

    #[rstest]
    #[case::first(&[(500, true)], 1)]
    #[case::same_again(&[(500, true), (500, true)], 1)]
    #[case::switch(&[(500, true), (900, true), (500, true)], 3)]
    #[case::unknown_is_no_switch(&[(500, true), (0, true)], 1)]
    #[case::tags_alone(&[(500, false)], 1)]
    #[case::tags_alone_may_change(&[(500, false), (900, false)], 2)]
    #[case::tags_after_the_demuxer(&[(500, true), (900, false)], 1)]
    #[case::tags_below_the_demuxer(&[(0, true), (480, false), (520, false), (900, true)], 1)]
    fn a_rendition_is_told_when_it_changes(#[case] heard: &[(u64, bool)], #[case] told: usize) {
        let mut said = Said::default();
        let news = heard.iter().filter(|(bitrate, adaptive)| {
            if *adaptive {
                said.hear_adaptive();
                said.new_rendition(rate(*bitrate)).is_some()
            } else {
                said.new_bitrate(rate(*bitrate)).is_some()
            }
        });
        assert_eq!(news.count(), told);
    }

    #[test]
    fn the_newest_seeks_are_known() {
        let mut said = Said::default();
        for seqnum in 1..=5 {
            assert!(!said.is_known_seek(seqnum));
            said.remember_seek(seqnum);
        }
        assert!(!said.is_known_seek(1));
        assert!((2..=5).all(|seqnum| said.is_known_seek(seqnum)));
    }

    #[test]
    fn the_length_is_asked_for_ever_more_rarely() {
        let mut ask = AskDuration::soon();
        let due: Vec<_> = (0..16).filter(|_| ask.is_due()).collect();
        assert_eq!(due, [0, 2, 5, 10]);
    }
}
