//! Test streams with a known number of frames, made on demand and kept in the target directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ts::{self, Kind, Stream};
use crate::{Artifacts, Error, Player, Way};

/// How long the making of one clip may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Frames a second of every clip.
pub const FPS: u32 = 25;

/// PID of the picture; sound follows from 257 on.
pub const VIDEO_PID: u16 = 256;

/// A codec for the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Video {
    /// With reordered frames.
    H264,
    /// MPEG-2.
    Mpeg2,
}

/// A codec for sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    /// AAC-LC in ADTS.
    Aac,
    /// MPEG-1 layer II.
    Mp2,
    /// AC-3.
    Ac3,
    /// MPEG-1 layer III.
    Mp3,
}

/// What the streams are packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MPEG-2 transport stream.
    Ts,
    /// MP4.
    Mp4,
    /// Matroska.
    Mkv,
}

/// What a clip is made from. The same recipe gives the same clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The picture, if any.
    pub video: Option<Video>,
    /// Any number of sound tracks.
    pub audio: Vec<Audio>,
    /// The container.
    pub container: Container,
    /// Length in pictures, at [`FPS`].
    pub pictures: u32,
    /// Bit rate of the picture in kbit/s, at most.
    pub kbits: u32,
    /// Noise, which fills the bit rate, in place of a picture that is easy to code.
    pub noise: bool,
}

/// A clip, and what is in it.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Pictures in it.
    pub video_frames: u64,
    /// Frames of sound in it, track by track.
    pub audio_frames: Vec<u64>,
    /// Its streams, in a transport stream.
    pub streams: Vec<Stream>,
}

impl Recipe {
    /// A transport stream with one track of sound at most.
    #[must_use]
    pub fn ts(video: impl Into<Option<Video>>, audio: impl Into<Option<Audio>>, pictures: u32) -> Self {
        let audio = audio.into().into_iter().collect();
        Self { video: video.into(), audio, container: Container::Ts, pictures, kbits: 600, noise: false }
    }

    /// The same in another container.
    #[must_use]
    pub fn in_container(mut self, container: Container) -> Self {
        self.container = container;
        self
    }

    /// Makes the clip, or takes it from the cache.
    ///
    /// # Errors
    /// If a plug-in is missing or the stream cannot be made.
    pub fn make(&self) -> Result<Clip, Error> {
        let path = Artifacts::find()?.scratch("clips")?.join(self.to_string());
        if !path.exists() {
            let fresh = path.with_extension(format!("{}.{}", std::process::id(), thread_number()));
            let mut pipeline = format!("{} name=mux ! filesink location={}", self.muxer(), fresh.display());
            self.branches(&mut pipeline);
            Player::stock(Way::Unwatched)?.gst_launch(&pipeline)?.wait(LIMIT)?.success()?;
            fs::rename(&fresh, &path).map_err(|e| Error::io("cannot keep the clip", e))?;
        }
        self.look_at(path)
    }

    /// The same clip cut into pieces of a second with a playlist, in a directory of its own.
    ///
    /// Gives the playlist's path. Continuity counters start anew in each fragment, as those of most packagers do.
    ///
    /// # Errors
    /// As [`Recipe::make`], or if it has no picture to cut by.
    pub fn make_hls(&self) -> Result<PathBuf, Error> {
        use fmt::Write as _;
        let parent = Artifacts::find()?.scratch("hls")?;
        let dir = parent.join(self.to_string());
        if !dir.exists() {
            let no_room = |e| Error::io("no room for HLS fragments", e);
            let clip = self.clone().in_container(Container::Ts).make()?;
            let fresh = tempfile::tempdir_in(&parent).map_err(no_room)?;
            let mut playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n".to_owned();
            for (number, fragment) in ts::fragments(&clip.content()?, VIDEO_PID).iter().enumerate() {
                let name = format!("{number:03}.ts");
                fs::write(fresh.path().join(&name), fragment).map_err(no_room)?;
                // Writing to a string cannot fail.
                let _ = write!(playlist, "#EXTINF:1.0,\n{name}\n");
            }
            playlist.push_str("#EXT-X-ENDLIST\n");
            fs::write(fresh.path().join("play.m3u8"), playlist).map_err(no_room)?;
            if let Err(error) = fs::rename(fresh.keep(), &dir) {
                // Another test made the same one in the meantime.
                if !dir.exists() {
                    return Err(Error::io("cannot keep the fragments", error));
                }
            }
        }
        Ok(dir.join("play.m3u8"))
    }

    fn branches(&self, pipeline: &mut String) {
        use fmt::Write as _;
        let kbits = self.kbits;
        if let Some(video) = self.video {
            let encoder = match video {
                Video::H264 => format!(
                    "x264enc bitrate={kbits} key-int-max={FPS} speed-preset=ultrafast bframes=2 \
                     b-adapt=false threads=1 option-string=scenecut=0 ! video/x-h264,profile=main ! h264parse"
                ),
                // Some builds of gst-libav refuse every frame rate with avenc_mpeg2video.
                Video::Mpeg2 => format!("mpeg2enc format=3 bitrate={kbits} ! mpegvideoparse"),
            };
            // Writing to a string cannot fail.
            let _ = write!(
                pipeline,
                " videotestsrc num-buffers={} pattern={} animation-mode=frames \
                 ! video/x-raw,format=I420,width=320,height=240,framerate={FPS}/1 ! {encoder} ! queue ! mux.sink_{VIDEO_PID}",
                self.pictures,
                if self.noise { "snow" } else { "ball" },
            );
        }
        for (track, audio) in self.audio.iter().enumerate() {
            let (samples, encoder) = match audio {
                Audio::Aac => (1024, "avenc_aac bitrate=96000 ! aacparse"),
                Audio::Mp2 => (1152, "twolamemp2enc bitrate=128 ! mpegaudioparse"),
                Audio::Mp3 => (1152, "lamemp3enc bitrate=128 target=bitrate cbr=true ! mpegaudioparse"),
                Audio::Ac3 => (1536, "avenc_ac3 bitrate=192000 ! ac3parse"),
            };
            let buffers = u64::from(self.pictures) * 48_000 / u64::from(FPS) / samples;
            let _ = write!(
                pipeline,
                " audiotestsrc num-buffers={buffers} samplesperbuffer={samples} freq={} \
                 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! {encoder} ! queue ! mux.sink_{}",
                440 * (track + 1),
                usize::from(VIDEO_PID) + 1 + track,
            );
        }
        if self.container != Container::Ts {
            let tracks = pipeline.replace("mux.sink_", "mux. name=ignored_");
            // Other muxers number their pads themselves.
            *pipeline = tracks
                .split_whitespace()
                .filter(|word| !word.starts_with("name=ignored_"))
                .collect::<Vec<_>>()
                .join(" ");
        }
    }

    const fn muxer(&self) -> &'static str {
        match self.container {
            Container::Ts => "mpegtsmux",
            Container::Mp4 => "mp4mux",
            Container::Mkv => "matroskamux",
        }
    }

    fn look_at(&self, path: PathBuf) -> Result<Clip, Error> {
        let content = read(&path)?;
        let bytes = u64::try_from(content.len()).map_err(|e| Error::io("size", e))?;
        if self.container != Container::Ts {
            // The encoders get the same input, so the same frames are in it as in the transport stream.
            let twin = self.clone().in_container(Container::Ts).make()?;
            return Ok(Clip { path, bytes, streams: Vec::new(), ..twin });
        }
        Clip::of(path, &content)
    }
}

impl fmt::Display for Recipe {
    /// The file name that stands for the recipe.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(video) = self.video {
            write!(f, "{video:?}-{}{}-", self.kbits, if self.noise { "-noise" } else { "" })?;
        }
        for audio in &self.audio {
            write!(f, "{audio:?}-")?;
        }
        write!(f, "{}.{}", self.pictures, format!("{:?}", self.container).to_lowercase())
    }
}

impl Clip {
    /// A transport stream that was written to `path`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: PathBuf) -> Result<Self, Error> {
        let content = read(&path)?;
        Self::of(path, &content)
    }

    fn of(path: PathBuf, content: &[u8]) -> Result<Self, Error> {
        let streams = ts::streams(content);
        let is_video = |s: &&Stream| matches!(s.kind, Kind::H264 | Kind::Mpeg2);
        let (video, audio): (Vec<&Stream>, Vec<&Stream>) = streams.iter().partition(is_video);
        Ok(Self {
            bytes: u64::try_from(content.len()).map_err(|e| Error::io("size", e))?,
            video_frames: video.into_iter().map(|s| ts::frames(content, *s)).sum(),
            audio_frames: audio.into_iter().map(|s| ts::frames(content, *s)).collect(),
            streams,
            path,
        })
    }

    /// Its `file:` URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Its content.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn content(&self) -> Result<Vec<u8>, Error> {
        read(&self.path)
    }
}

/// Three renditions of one clip with a master playlist, in `dir`. Gives the nominal bit rates, lowest first.
///
/// # Errors
/// As [`Recipe::make`].
pub fn make_adaptive(dir: &Path, base: &Recipe) -> Result<Vec<u32>, Error> {
    use fmt::Write as _;
    let mut master = "#EXTM3U\n#EXT-X-VERSION:3\n".to_owned();
    let rates = [200, 600, 1500];
    for kbits in rates {
        let playlist = Recipe { kbits, ..base.clone() }.make_hls()?;
        let name = format!("r{kbits}");
        let from = playlist.parent().ok_or_else(|| Error::new("a playlist without a directory"))?;
        std::os::unix::fs::symlink(from, dir.join(&name))
            .map_err(|e| Error::io("cannot link rendition", e))?;
        // Writing to a string cannot fail.
        let _ = write!(
            master,
            "#EXT-X-STREAM-INF:BANDWIDTH={}000,RESOLUTION=320x240\n{name}/play.m3u8\n",
            kbits + 200
        );
    }
    fs::write(dir.join("master.m3u8"), master).map_err(|e| Error::io("cannot write the playlist", e))?;
    Ok(rates.into_iter().map(|kbits| (kbits + 200) * 1000).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), e))
}

fn thread_number() -> String {
    format!("{:?}", std::thread::current().id()).chars().filter(char::is_ascii_digit).collect()
}
