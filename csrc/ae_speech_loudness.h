/* ae_speech_loudness.h - how loud is the voice in this stream? The ear of the leveller.
 *
 * Input: the K-weighted mean square of one 10 ms block and, where there is one, a speech
 * probability. Output: whether the block is speech, the noise floor under it, and the loudness of
 * the voice alone. Method: running BS.1770-5. The mean runs over 400 ms windows with the 10 LU
 * relative gate; it remembers 6 s of speech. Different from BS.1770-5: a window counts only if it
 * holds speech, the noise floor (minimum statistics, Martin 2001) is subtracted, and a lasting step
 * of the level (another talker, a moved microphone) restarts the mean instead of bending it slowly.
 * Speech that is much louder than the mean waits for that decision outside the mean: a shout does
 * not move it. One idea per struct, all of fixed size: the part is embedded and allocates nothing.
 * Cost: some hundred operations a block. Thread: audio. */
#ifndef AE_SPEECH_LOUDNESS_H
#define AE_SPEECH_LOUDNESS_H

enum {
    AE_FLOOR_SPANS = 8,            /* of 0.4 s: the floor looks back 3.2 s */
    AE_FLUCTUATION_BLOCKS = 30,    /* 0.3 s: a syllable and its neighbour */
    AE_SPEECH_WINDOW_BLOCKS = 40,  /* the 400 ms window of BS.1770-5 */
    AE_SPEECH_RECENT_BLOCKS = 230, /* 2.3 s of speech: longer than a shout or a laugh */
};

typedef struct {
    double power;             /* K-weighted mean square, all channels */
    double kept_share;        /* 0..1: the part of it that passes the limiter after the leveller */
    float speech_probability; /* 0..1, < 0 when not known */
    double removed_noise;     /* mean square of noise before it was suppressed; 0 when not known */
    int music;                /* 0/1: music plays; then only what is surely speech counts */
} ae_speech_block;

/* Noise floor by minimum statistics. */
typedef struct {
    double smoothed;                /* mean square over about 40 ms */
    double minimum[AE_FLOOR_SPANS]; /* of smoothed, in the finished spans */
    double span_minimum;            /* in the span that is running */
    double power;                   /* the floor: mean square of the noise */
    int span_blocks, next, filled;
} ae_noise_floor;

/* Does the level move like a voice, or stand still like a fan or a tone? */
typedef struct {
    float level_lufs[AE_FLUCTUATION_BLOCKS];
    int next;
    int active_blocks; /* since the sound began */
} ae_level_fluctuation;

/* Speech decision. */
typedef struct {
    float held_probability; /* rises at once, falls slowly over the gaps between syllables */
    int hangover_blocks;
    int active;           /* 0/1: this block is speech or the tail of a word */
    int confirmed_blocks; /* > 0: fluctuation has shown that this is a voice */
    int pause_blocks;     /* since the last active block */
} ae_speech_decision;

/* The last 400 ms. */
typedef struct {
    double energy[AE_SPEECH_WINDOW_BLOCKS]; /* noise removed; may be negative */
    double kept_energy[AE_SPEECH_WINDOW_BLOCKS];
    int active[AE_SPEECH_WINDOW_BLOCKS];
    int next, filled;
    int speech_blocks;
    double voice_power;    /* mean square without the noise */
    double power;          /* with it */
    double syllable_power; /* with it, over the last 0.1 s */
    double kept_share;     /* of voice_power */
} ae_speech_window;

/* The last seconds of speech, pauses left out. */
typedef struct {
    double power[AE_SPEECH_RECENT_BLOCKS];      /* noise removed */
    float window_lufs[AE_SPEECH_RECENT_BLOCKS]; /* of the window that ends there */
    int next, filled;
} ae_recent_speech;

/* The estimate. */
typedef struct {
    double power;      /* mean square of the voice */
    double kept_power; /* the same after the limiter */
    int windows; /* since the last restart, at most the length of the memory; 0: no speech yet */
    int counted; /* 0/1: the last block's window went into the mean */
    double left_power;             /* power before the last step */
    int left_windows, left_blocks; /* windows then; speech blocks since */
} ae_speech_level;

typedef struct {
    ae_noise_floor floor;
    ae_level_fluctuation fluctuation;
    ae_speech_decision decision;
    ae_speech_window window;
    ae_recent_speech recent;
    ae_speech_level level;
} ae_speech_loudness;

void ae_speech_loudness_reset(ae_speech_loudness *self);
/* After a reset: a voice known from before. Its loudness weighs as much as 1.5 s of speech. */
void ae_speech_loudness_expect(ae_speech_loudness *self, float lufs);
void ae_speech_loudness_update(ae_speech_loudness *self, const ae_speech_block *block);

/* Loudness of the voice at the input; AE_NO_LOUDNESS_LUFS before the first speech. */
float ae_speech_loudness_lufs(const ae_speech_loudness *self);
/* The same, counting only what the limiter lets through: this is what should meet the target. */
float ae_speech_loudness_kept_lufs(const ae_speech_loudness *self);
/* Of the voice in the last 400 ms, counting what the limiter lets through. */
float ae_speech_loudness_window_lufs(const ae_speech_loudness *self);
/* Of the last 400 ms, noise and all. */
float ae_speech_loudness_momentary_lufs(const ae_speech_loudness *self);
/* Of the last 0.1 s, noise and all. */
float ae_speech_loudness_syllable_lufs(const ae_speech_loudness *self);
float ae_speech_loudness_floor_lufs(const ae_speech_loudness *self);

#define AE_NO_LOUDNESS_LUFS (-200.0f)

#endif
