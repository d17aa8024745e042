/* ae_speech_presence.h - how likely the newest hop holds speech.
 *
 * Method: a classifier of one hidden layer of tanh units on what ae_speech_features says of the
 * hop; p = 0.5 is where speech is as likely as none, if somebody speaks two fifths of the time. The
 * weights were fitted by tools/speech_presence on made-up scenes in which it is known when somebody
 * speaks. No memory but that of the features, no look-ahead. Thread: audio, no allocation after
 * create. Cost: that of the features and 650 multiplications per hop. */
#ifndef AE_SPEECH_PRESENCE_H
#define AE_SPEECH_PRESENCE_H

#include "ae_speech_features.h"

typedef struct ae_speech_presence ae_speech_presence;

ae_status ae_speech_presence_create(ae_speech_presence **out,
                                    const ae_speech_features_config *config);
void ae_speech_presence_destroy(ae_speech_presence *self);
void ae_speech_presence_reset(ae_speech_presence *self);
/* One hop: probability 0 .. 1. */
float ae_speech_presence_update(ae_speech_presence *self, const ae_speech_hop *hop);

#endif
