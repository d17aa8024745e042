/* ae_speech_loudness.h - how loud is the voice in this stream? A part of the leveller.
 *
 * Input: one K-weighted mean square and one speech probability per 10 ms block. Output: is this
 * block speech, the noise floor under it, and the loudness of the voice alone (noise removed).
 * Method: the noise floor follows the minima of the smoothed energy (Martin 2001); the voice is
 * measured as BS.1770-5 does (400 ms windows, relative gate 10 LU below the mean), but running,
 * with a memory of a few seconds of speech. Different from BS.1770: a window counts only if speech
 * was decided in it, the noise floor is subtracted, and a lasting step of the level (another
 * talker, a moved microphone) restarts the mean instead of bending it slowly. One idea per struct,
 * all fixed size: the part is embedded and allocates nothing. Cost: some hundred operations a
 * block. Thread: audio. */
#ifndef AE_SPEECH_LOUDNESS_H
#define AE_SPEECH_LOUDNESS_H

enum {
    AE_FLOOR_SPANS = 8,            /* x 0.4 s: the floor may rise after 3.2 s */
    AE_SPEECH_WINDOW_BLOCKS = 40,  /* the 400 ms block of BS.1770-5 */
    AE_SPEECH_RECENT_WINDOWS = 256 /* 2.56 s of speech: enough to tell a shout from a new level */
};

/* Noise floor: minimum statistics of the smoothed energy. */
typedef struct {
    double smoothed;                /* mean square over about 40 ms */
    double minimum[AE_FLOOR_SPANS]; /* of the finished spans */
    double span_minimum;            /* of the span that is running */
    double power;                   /* the floor: mean square of the noise, 0 = not known */
    int span_blocks, next, filled;
} ae_noise_floor;

/* Speech decision per block. */
typedef struct {
    float held_probability; /* rises at once, falls slowly over the gaps between syllables */
    int hangover_blocks;
    int active;       /* 0/1: this block is speech or the tail of a word */
    int pause_blocks; /* blocks since the last active one */
} ae_speech_decision;

/* The last 400 ms. */
typedef struct {
    double energy[AE_SPEECH_WINDOW_BLOCKS]; /* noise removed */
    unsigned char active[AE_SPEECH_WINDOW_BLOCKS];
    int next, filled;
} ae_speech_window;

/* The running mean of gated windows and the memory that tells a step from a shout. */
typedef struct {
    double power; /* the estimate: mean square of the voice */
    int windows;  /* windows in the estimate since the last restart, up to the memory's length */
    float recent_lufs[AE_SPEECH_RECENT_WINDOWS];
    int next, filled;
} ae_level_track;

typedef struct {
    ae_noise_floor floor;
    ae_speech_decision decision;
    ae_speech_window window;
    ae_level_track track;
} ae_speech_loudness;

void ae_speech_loudness_reset(ae_speech_loudness *self);
/* power: K-weighted mean square of the block; speech_probability: 0..1, < 0 when not known. */
void ae_speech_loudness_update(ae_speech_loudness *self, double power, float speech_probability);
/* Loudness of the voice, or -200 before the first speech. */
float ae_speech_loudness_lufs(const ae_speech_loudness *self);
float ae_speech_loudness_floor_lufs(const ae_speech_loudness *self);

/* LUFS of a K-weighted mean square: BS.1770-5 equation 2. Silence is -200. */
float ae_lufs_from_power(double power);

#endif
