/* ae_automix.h - the automixer: which microphones of a room are open, and with what gain. */
#ifndef AE_AUTOMIX_H
#define AE_AUTOMIX_H

enum { AE_AUTOMIX_SPANS = 8 };

/* One frequency range of a microphone and the noise in it. */
typedef struct {
    float power;    /* mean square in this block */
    float smoothed; /* over about 40 ms */
    float floor;    /* mean square of the noise */
    float minimum[AE_AUTOMIX_SPANS]; /* of smoothed, in the finished spans */
    float span_minimum, span_maximum; /* in the span that is running */
} ae_automix_band;

typedef struct {
    float gain;
    float priority_db;
    int talking;
    /* private */
    ae_automix_band body, hiss;
    int span_blocks, next, filled, steady_spans;
    float level;
    float held_probability;
    int probability_known;
    int evidence; /* 0 none, 1 keeps open, 2 opens on the second block, 3 opens */
    int present;
    int weak_blocks;
    float sound_blocks;
    int hang_blocks;
    int quiet_blocks;
} ae_automix_mic;

void ae_automix_mic_reset(ae_automix_mic *mic);
void ae_automix_mic_hear(ae_automix_mic *mic, const float *const *in, int channels, int frames,
                         float speech_probability);
void ae_automix_mic_rest(ae_automix_mic *mic);

typedef struct {
    int held;
    int loudest;
    float reference;
    float voice;
    int voice_blocks;
} ae_automix;

void ae_automix_reset(ae_automix *self);
void ae_automix_share(ae_automix *self, ae_automix_mic *const *mics, int count);

#endif
