#include "ae_lipsync.h"

#include "ae_lip_audio.h"
#include "ae_lip_mouth.h"
#include "ae_lip_score.h"
#include "ae_lip_track.h"
#include "ae_math.h"

#include <stdbool.h>

static const float k_forgetting_s = 20.0f;
static const double k_rounding_s = 1e-6;
static const double k_frame_ms = 10.0;
static const double k_unsure = 0.49; /* the most where a reason speaks against an answer */
/* A drift this large over a window blurs its peak: the window shortens, down to k_track_frames. */
static const double k_blur_ms = 80.0;

enum {
    k_spare_frames = 300,
    /* The tracker's window: long enough for a sure answer, short enough to see a step soon. */
    k_track_frames = 10 * AE_LIP_FRAMES_PER_S,
    /* Its estimates cross over to a new offset once that fills half of the window, and then three
     * must agree: what is older than this when a step is found may lie before it. */
    k_after_step_frames = 6 * AE_LIP_FRAMES_PER_S,
};

struct ae_lipsync {
    int window_frames, track_frames, max_lag;
    ae_lip_model model;
    ae_lip_audio *audio;
    ae_lip_mouth *mouth;
    ae_lip_score *score;       /* of whole windows */
    ae_lip_score *track_score; /* of the tracker's */
    float *decay;              /* by age in frames */
    ae_lip_track track;
    int64_t next_update; /* frame of the next estimate for the tracker */
    int64_t floor_frame; /* the window begins no earlier: a step */
    int steps;
    int64_t read_frame; /* what `report` is of; -1: nothing */
    bool has_curve;
    double middle_s; /* weighted middle of the last window */
    ae_lipsync_report report;
};

ae_lipsync_config ae_lipsync_default_config(int sample_rate_hz)
{
    return (ae_lipsync_config){.sample_rate_hz = sample_rate_hz,
                               .window_s = 20.0f,
                               .max_lag_ms = 1300.0f,
                               .model = ae_lip_model_trained(1)};
}

static ae_lipsync *layout(ae_lipsync *plan, const ae_lip_model *model, ae_arena *arena)
{
    ae_lipsync *self = AE_TAKE(arena, 1, ae_lipsync);
    plan->model = ae_lip_model_copy(model, arena);
    plan->decay = AE_TAKE(arena, plan->window_frames, float);
    return self;
}

static ae_status create_parts(ae_lipsync *plan, const ae_lipsync_config *config)
{
    const ae_lip_audio_config audio = {.sample_rate_hz = config->sample_rate_hz,
                                       .kept_frames = AE_LIPSYNC_APART_S * AE_LIP_FRAMES_PER_S +
                                                      plan->window_frames + k_spare_frames,
                                       .max_hole_s = config->window_s};
    const ae_lip_mouth_config mouth = {config->model->mouth_signals, config->model->motion,
                                       plan->window_frames};
    const ae_lip_score_config score = {plan->window_frames, plan->max_lag, config->model};
    const ae_lip_score_config track = {plan->track_frames, plan->max_lag, config->model};
    ae_status status = ae_lip_audio_create(&plan->audio, &audio);
    if (status == AE_OK) status = ae_lip_mouth_create(&plan->mouth, &mouth);
    if (status == AE_OK) status = ae_lip_score_create(&plan->score, &score);
    if (status == AE_OK) status = ae_lip_score_create(&plan->track_score, &track);
    return status;
}

static void destroy_parts(ae_lipsync *self)
{
    ae_lip_audio_destroy(self->audio);
    ae_lip_mouth_destroy(self->mouth);
    ae_lip_score_destroy(self->score);
    ae_lip_score_destroy(self->track_score);
}

ae_status ae_lipsync_create(ae_lipsync **out, const ae_lipsync_config *config)
{
    *out = NULL;
    if (!ae_in_range(config->window_s, 5.0f, 60.0f) ||
        !ae_in_range(config->max_lag_ms, 300.0f, 2500.0f) || config->model == NULL ||
        !ae_lip_model_is_valid(config->model))
        return AE_ERROR_ARGUMENT;
    ae_lipsync plan = {
        .window_frames = (int)lrintf(config->window_s * AE_LIP_FRAMES_PER_S),
        .max_lag = (int)lrint((double)config->max_lag_ms / k_frame_ms),
    };
    plan.track_frames = plan.window_frames < k_track_frames ? plan.window_frames : k_track_frames;
    ae_status status = create_parts(&plan, config);
    ae_lipsync *self = NULL;
    if (status == AE_OK) {
        ae_arena arena = {0};
        layout(&plan, config->model, &arena);
        arena = (ae_arena){ae_allocate(arena.used), 0};
        if (arena.base != NULL) self = layout(&plan, config->model, &arena);
        status = self == NULL ? AE_ERROR_MEMORY : AE_OK;
    }
    if (status != AE_OK) {
        destroy_parts(&plan);
        return status;
    }
    *self = plan;
    for (int age = 0; age < self->window_frames; age++)
        self->decay[age] = expf(-(float)age / (k_forgetting_s * AE_LIP_FRAMES_PER_S));
    ae_lipsync_reset(self);
    *out = self;
    return AE_OK;
}

void ae_lipsync_destroy(ae_lipsync *self)
{
    if (self == NULL) return;
    destroy_parts(self);
    ae_free(self);
}

/* What is known of the offset; the streams stay. */
static void forget(ae_lipsync *self)
{
    ae_lip_track_reset(&self->track);
    self->next_update = AE_LIP_SCORE_FRAMES;
    self->floor_frame = 0;
    self->steps = 0;
    self->read_frame = -1;
    self->has_curve = false;
}

void ae_lipsync_reset(ae_lipsync *self)
{
    ae_lip_audio_reset(self->audio);
    ae_lip_mouth_reset(self->mouth);
    forget(self);
}

/* The newest frame that both have reached; -1: none. */
static int64_t newest_frame(const ae_lipsync *self)
{
    if (ae_lip_mouth_samples(self->mouth) == 0) return -1;
    const double reached_s =
        ae_lip_mouth_newest_s(self->mouth) - ae_lip_audio_start_s(self->audio) + k_rounding_s;
    const int64_t heard = ae_lip_audio_frames(self->audio) - 1;
    if (reached_s < 0.0) return -1;
    if (reached_s * AE_LIP_FRAMES_PER_S > (double)heard) return heard;
    return (int64_t)floor(reached_s * AE_LIP_FRAMES_PER_S);
}

/* The first frame of the window of up to `length` frames that ends with `last`. */
static int64_t first_frame(const ae_lipsync *self, int64_t last, int length)
{
    const double seen_s =
        ae_lip_mouth_first_s(self->mouth) - ae_lip_audio_start_s(self->audio) - k_rounding_s;
    int64_t first = last - length + 1;
    const double seen = ceil(seen_s * AE_LIP_FRAMES_PER_S);
    if (seen > (double)first) first = seen > (double)last ? last + 1 : (int64_t)seen;
    const int64_t kept = ae_lip_audio_oldest(self->audio);
    if (first < self->floor_frame) first = self->floor_frame;
    return first < kept ? kept : first;
}

/* Copy the window into the scorer; returns what it holds. */
static ae_lip_presence load(ae_lipsync *self, ae_lip_score *score, int64_t first, int frames)
{
    float *rows = ae_lip_score_audio(score), *weights = ae_lip_score_weight(score);
    for (int i = 0; i < frames; i++)
        ae_copy(rows + i * AE_LIP_ROW, ae_lip_audio_row(self->audio, first + i), AE_LIP_ROW);
    const double first_s = ae_lip_audio_start_s(self->audio) + (double)first / AE_LIP_FRAMES_PER_S;
    ae_lip_mouth_grid(self->mouth, first_s, frames, ae_lip_score_mouth(score), weights);
    ae_lip_presence presence;
    ae_lip_presence_of(rows, weights, frames, &presence);
    return presence;
}

/* Let older frames count less; returns what they would weigh with a face in each. */
static float forget_by_age(ae_lipsync *self, float *weights, int64_t first, int frames)
{
    double full = 0.0, sum = 0.0, moment = 0.0;
    for (int i = 0; i < frames; i++) {
        weights[i] *= self->decay[frames - 1 - i];
        full += (double)self->decay[frames - 1 - i];
        sum += (double)weights[i];
        moment += (double)weights[i] * i;
    }
    self->middle_s = ((double)first + (sum > 0.0 ? moment / sum : 0.0)) / AE_LIP_FRAMES_PER_S;
    return (float)full;
}

/* What is known before a window has been looked at. */
static void clear_report(ae_lipsync_report *report)
{
    *report = (ae_lipsync_report){.offset_ms = NAN, .time_s = NAN, .reason = AE_LIP_TOO_SHORT};
    for (int i = 0; i < AE_LIP_CUES; i++) report->cues[i] = NAN;
}

/* The estimate of the window of up to `length` frames that ends with the frame `last`; returns
 * whether it has scores. */
static bool estimate(ae_lipsync *self, ae_lip_score *score, int64_t last, int length,
                     ae_lipsync_report *report)
{
    clear_report(report);
    const int64_t first = last < 0 ? 0 : first_frame(self, last, length);
    const int frames = last < 0 ? 0 : (int)(last - first + 1);
    if (frames < AE_LIP_SCORE_FRAMES) return false;
    const ae_lip_presence presence = load(self, score, first, frames);
    report->time_s = ae_lip_audio_start_s(self->audio) + (double)last / AE_LIP_FRAMES_PER_S;
    report->span_s = presence.span_s;
    report->face_s = presence.face_s;
    report->voiced_s = presence.voiced_s;
    report->reason = ae_lip_lacks(&presence);
    if (report->reason == AE_LIP_NO_FACE || report->reason == AE_LIP_NO_SPEECH) return false;
    ae_lip_score_result result;
    const float full = forget_by_age(self, ae_lip_score_weight(score), first, frames);
    ae_lip_score_run(score, frames, full, &result);
    if (!(result.peak > 0.0)) {
        report->reason = ae_lip_reason_for(&presence, 0.0, 0.0, result.mouth_moves);
        return false;
    }
    report->cues[AE_LIP_CUE_CONTRAST] = (result.peak - result.second) / result.peak;
    report->cues[AE_LIP_CUE_LEVEL] = result.peak;
    report->cues[AE_LIP_CUE_FACE] = ae_lip_log_seconds(presence.face_s);
    report->cues[AE_LIP_CUE_HALVES] = result.halves;
    report->cues[AE_LIP_CUE_VOICE] = ae_lip_log_seconds(presence.voiced_s);
    double confidence = ae_lip_confidence(self->model.confidence, report->cues);
    if (result.at_edge) confidence = fmin(confidence, k_unsure);
    report->reason = ae_lip_reason_for(&presence, confidence, result.peak, result.mouth_moves);
    if (report->reason == AE_LIP_FROZEN) return false;
    report->offset_ms = result.lag_ms;
    report->confidence = report->reason == AE_LIP_ANSWER ? confidence : fmin(confidence, k_unsure);
    return true;
}

/* One estimate a second for the tracker. */
static void update(ae_lipsync *self, int64_t frame)
{
    ae_lipsync_report report;
    estimate(self, self->track_score, frame, self->track_frames, &report);
    if (!ae_lip_track_update(&self->track, self->middle_s, report.offset_ms, report.confidence))
        return;
    self->steps++;
    if (frame - k_after_step_frames > self->floor_frame)
        self->floor_frame = frame - k_after_step_frames;
}

/* Frames of a window that the drift does not blur. */
static int sharp_frames(const ae_lipsync *self)
{
    const double drift = fabs(ae_lip_track_drift(&self->track)); /* NaN compares as slow */
    const double frames = k_blur_ms / drift * AE_LIP_FRAMES_PER_S;
    if (!(frames < (double)self->window_frames)) return self->window_frames;
    return frames > (double)self->track_frames ? (int)frames : self->track_frames;
}

/* Run the updates that have become due. */
static void advance(ae_lipsync *self)
{
    const int64_t newest = newest_frame(self);
    while (self->next_update <= newest) {
        const int64_t frame = self->next_update;
        self->next_update += AE_LIP_FRAMES_PER_S;
        update(self, frame);
    }
}

void ae_lipsync_push_audio(ae_lipsync *self, const float *in, int frames, double time_s)
{
    const ae_fp_mode mode = ae_fp_enter();
    const int piece = ae_lip_audio_piece(self->audio);
    int64_t missing = ae_lip_audio_place(self->audio, time_s, frames);
    if (missing < 0) forget(self);
    for (; missing > 0; missing -= piece) {
        ae_lip_audio_push(self->audio, NULL, missing < piece ? (int)missing : piece);
        advance(self);
    }
    for (int at = 0; at < frames; at += piece) {
        ae_lip_audio_push(self->audio, in + at, frames - at < piece ? frames - at : piece);
        advance(self);
    }
    ae_fp_leave(mode);
}

void ae_lipsync_push_mouth(ae_lipsync *self, const double *time_s, const float *mouth, int count)
{
    const ae_fp_mode mode = ae_fp_enter();
    for (int i = 0; i < count; i++) {
        if (ae_lip_mouth_push(self->mouth, time_s[i], mouth + i * self->model.mouth_signals))
            forget(self);
        advance(self);
    }
    ae_fp_leave(mode);
}

void ae_lipsync_cut(ae_lipsync *self) { ae_lip_mouth_cut(self->mouth); }

/* Bring the report up to the newest frame. */
static void refresh(ae_lipsync *self)
{
    const ae_fp_mode mode = ae_fp_enter();
    const int64_t newest = newest_frame(self);
    if (self->read_frame != newest || newest < 0) {
        self->has_curve = estimate(self, self->score, newest, sharp_frames(self), &self->report);
        self->read_frame = newest;
    }
    self->report.drift_ms_per_s = ae_lip_track_drift(&self->track);
    self->report.steps = self->steps;
    self->report.non_finite = ae_lip_audio_non_finite(self->audio);
    ae_fp_leave(mode);
}

void ae_lipsync_read(ae_lipsync *self, ae_lipsync_report *out)
{
    refresh(self);
    *out = self->report;
}

int ae_lipsync_curve(ae_lipsync *self, double *lags_ms, double *scores, int capacity)
{
    refresh(self);
    if (!self->has_curve) return 0;
    const float *curve = ae_lip_score_curve(self->score);
    const int count = 2 * self->max_lag + 1;
    for (int i = 0; i < count && i < capacity; i++) {
        lags_ms[i] = k_frame_ms * (i - self->max_lag) - (double)self->model.bias_ms;
        scores[i] = (double)curve[i];
    }
    return count;
}
