/* ae_automix.h - the automixer: which microphones of a room are open, and with what gain each goes
 * into the mix.
 *
 * Method: gain sharing after Dugan (US 3,992,584, expired) among the open microphones only, with
 * the hold of the last one: ambience stays while nobody speaks. A microphone opens over its own
 * noise, measured as a minimum over some seconds (Martin 2001) and, between the words, as a mean
 * with a spread: the steadier the noise, the softer the sound that opens. Two ranges are heard,
 * above 150 Hz and the upper treble (a fricative starts a word long before its vowel). Different
 * from Dugan: who speaks alone or in twos stays at 0 dB, closed is exactly 0, what another's voice
 * leaks into a microphone, 9 dB or more under him, does not open it, and an event far louder than
 * the room's voices takes little more gain from them than a voice would.
 *
 * Opening is cheap and short; only a sound that lasts is talk, and only talk takes the hold or
 * keeps a microphone open for 0.4 s. So an onset is not late, and a key stroke closes after 0.1 s.
 *
 * Blocks are 10 ms at any rate. Latency: none, the gain of a block is known with the block. Cost:
 * some 6 operations a sample to hear, some 10 per closed microphone and block to share. Plain
 * structs of fixed size, parts of their owner. Thread: audio; no allocation. */
#ifndef AE_AUTOMIX_H
#define AE_AUTOMIX_H

#include <stdint.h>

enum { AE_AUTOMIX_SPANS = 10 }; /* of 0.4 s: the floor looks back 4 s */

/* The noise of one range of frequencies. */
typedef struct {
    float smoothed;                   /* mean square over about 40 ms */
    float minimum[AE_AUTOMIX_SPANS];  /* of smoothed, in the finished spans */
    float span_minimum, span_maximum; /* of smoothed, in the span that is running */
    float floor;                      /* mean square of the noise, by its minimum */
    float mean_db, spread_db;         /* of the blocks without a sound: level, mean distance */
} ae_automix_noise;

/* One microphone. */
typedef struct {
    float gain;        /* 0..1 at the end of this block; 0: closed */
    float priority_db; /* -20..20, set by the owner: so much louder it counts in the sharing */
    int talking;       /* 0/1: somebody speaks here, or did so within the last 0.4 s */

    ae_automix_noise body, hiss; /* above 150 Hz; upper treble */
    int span_blocks, next, filled, steady_spans;
    int quiet_blocks, noise_blocks; /* without a sound: in a row; all that the means have heard */
    float power, level_db;          /* of the body in this block: mean square; the same in dB */
    float level;                    /* mean square, smoothed: up at once, down within 60 ms */
    float held_level;               /* the same, bridging the gaps between syllables */
    float held_probability;         /* of speech; < 0: not known */
    float doubt_blocks;             /* sound that is no speech */
    int evidence;                   /* of a sound in this block: an ae_automix_evidence */
    int weak_blocks;                /* in a row */
    int lasting_blocks, fallen_blocks;
    float peak_db; /* of the sound that may last */
    int hang_blocks;
    int opened;       /* 0/1: in this block */
    int present;      /* 0/1 */
    float target;     /* of the gain */
    int64_t spoke_at; /* block of the room; 0: has not spoken */
} ae_automix_mic;

/* Gain 0, priority 0 dB, noise unknown. */
void ae_automix_mic_reset(ae_automix_mic *mic);
/* Hear a block of `frames` = rate / 100 frames of the cleaned, levelled microphone. The probability
 * is 0..1, < 0 when not known. A block with NaN or infinity counts as silence. */
void ae_automix_mic_hear(ae_automix_mic *mic, const float *const *in, int channels, int frames,
                         float speech_probability);
/* Instead of hear: muted or absent. Closes; the noise is remembered. */
void ae_automix_mic_rest(ae_automix_mic *mic);

/* The room. */
typedef struct {
    int held; /* who stays open while nobody speaks; -1: nobody is there */
    int loudest;
    float reference;   /* level of the loudest talker, held */
    int reference_age; /* blocks since he set it */
    float voice;       /* level of the loudest talker on the long run */
    int voice_blocks;  /* it has heard, at most those of its first mean */
    int64_t block;
} ae_automix;

void ae_automix_reset(ae_automix *self);
/* After all have heard or rested: decide every gain. mics[i] is NULL where there is none, or one
 * that takes no part, as music; a microphone keeps its index from block to block. A gain that rises
 * from 0 is meant to be reached within 2.5 ms, so that a short onset is not lost; all others move
 * linearly over the block. */
void ae_automix_share(ae_automix *self, ae_automix_mic *const *mics, int count);

#endif
