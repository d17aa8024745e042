#include "ae_lip_confidence.h"

#include "ae_lip_audio.h"
#include "ae_math.h"

static const double k_frame_s = 0.01;
static const float k_silence_dbfs = -60.0f;
static const float k_over_floor_db = 6.0f;
static const double k_least_span_s = 2.8;
static const double k_least_face = 0.5; /* of the span */
static const double k_least_voiced_s = 0.8;
/* Of the lip gap. Stills, encoded and tracked, read up to 0.0022; 3 s of speech 0.037 and more. */
static const double k_least_movement = 0.006;
static const double k_dubbed_voiced_s = 6.0; /* so much speech answers, if it belongs to the face */
static const double k_dubbed_level = 0.2;
static const double k_surest = 30.0; /* of a logit: beyond it nothing changes */

enum { k_levels = 160, k_lowest_dbfs = -120 }; /* bins of 1 dB */

static double level_floor(const float *rows, int frames)
{
    int count[k_levels] = {0}, total = 0;
    for (int t = 0; t < frames; t++) {
        const float *row = rows + t * AE_LIP_ROW;
        if (row[AE_LIP_PRESENT] == 0.0f) continue;
        const float place = ae_clamp(row[AE_LIP_LEVEL] - (float)k_lowest_dbfs, 0.0f, k_levels - 1);
        count[(int)place]++;
        total++;
    }
    int below = 0, bin = 0;
    while (bin < k_levels - 1 && 10 * (below + count[bin]) < total) below += count[bin++];
    return bin + k_lowest_dbfs + 0.5;
}

void ae_lip_presence_of(const float *audio_rows, const float *weights, int frames,
                        ae_lip_presence *out)
{
    out->floor_dbfs = level_floor(audio_rows, frames);
    const float threshold = ae_max((float)out->floor_dbfs + k_over_floor_db, k_silence_dbfs);
    int face = 0, loud = 0, voiced = 0;
    for (int t = 0; t < frames; t++) {
        const float *row = audio_rows + t * AE_LIP_ROW;
        const int seen = weights[t] > 0.0f;
        face += seen;
        const int heard = seen && row[AE_LIP_PRESENT] > 0.0f;
        loud += heard && row[AE_LIP_LEVEL] > k_silence_dbfs;
        voiced += heard && row[AE_LIP_LEVEL] > threshold;
    }
    out->span_s = frames * k_frame_s;
    out->face_s = face * k_frame_s;
    out->loud_s = loud * k_frame_s;
    out->voiced_s = voiced * k_frame_s;
}

double ae_lip_log_seconds(double seconds) { return log(seconds > 0.5 ? seconds : 0.5); }

double ae_lip_confidence(const float *coefficients, const double *cues)
{
    double sum = (double)coefficients[0];
    for (int i = 0; i < AE_LIP_CUES; i++) sum += (double)coefficients[1 + i] * cues[i];
    if (!(sum > -k_surest)) return 0.0;
    return 1.0 / (1.0 + exp(-fmin(sum, k_surest)));
}

ae_lip_reason ae_lip_lacks(const ae_lip_presence *presence)
{
    if (presence->span_s < k_least_span_s) return AE_LIP_TOO_SHORT;
    if (presence->face_s < k_least_face * presence->span_s) return AE_LIP_NO_FACE;
    if (presence->loud_s < k_least_voiced_s) return AE_LIP_NO_SPEECH;
    return AE_LIP_ANSWER;
}

ae_lip_reason ae_lip_reason_for(const ae_lip_presence *presence, double confidence, double level,
                                double mouth_moves)
{
    const ae_lip_reason lacks = ae_lip_lacks(presence);
    if (lacks != AE_LIP_ANSWER) return lacks;
    if (mouth_moves < k_least_movement) return AE_LIP_FROZEN;
    if (confidence >= 0.5) return AE_LIP_ANSWER;
    if (presence->voiced_s < k_least_voiced_s) return AE_LIP_NO_SPEECH;
    if (presence->voiced_s >= k_dubbed_voiced_s && level < k_dubbed_level) return AE_LIP_DUBBED;
    return AE_LIP_AMBIGUOUS;
}
