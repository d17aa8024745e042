#include "ae_switch.h"

void ae_switch_lay_out(ae_switch *self, ae_arena *arena, const ae_step *step, int channels,
                       int block_frames)
{
    const ae_step_verbs *verbs = ae_step_verbs_of(step->kind);
    if (verbs->has_switch) {
        ae_bypass_lay_out(self == NULL ? NULL : &self->bypass, arena, channels, block_frames,
                          verbs->latency_frames(step));
    }
    if (self != NULL) self->active = self->was_heard = 1;
}

void ae_switch_settle(ae_switch *self) { self->was_heard = self->active; }

void ae_switch_reset(ae_switch *self)
{
    ae_switch_settle(self);
    self->blocks_to_warm = 0;
    ae_bypass_reset(&self->bypass);
}

void ae_switch_take_over(ae_switch *self, const ae_switch *from)
{
    self->was_heard = from->was_heard;
    self->blocks_to_warm = from->blocks_to_warm;
    ae_bypass_copy(&self->bypass, &from->bypass);
}

void ae_switch_run(ae_switch *self, const ae_step_context *context, const ae_step *step, int shed,
                   int *heard)
{
    const ae_step_verbs *verbs = ae_step_verbs_of(step->kind);
    const ae_bus *buses = context->buses;
    const int rests = shed && verbs->hold == NULL;
    const int hears = self->active && !rests && self->blocks_to_warm == 0;
    const int fades = !hears || !self->was_heard;
    *heard = hears || self->was_heard;
    if (fades || self->bypass.latency_frames > 0) {
        ae_bypass_take(&self->bypass, (const float *const *)buses[step->input_bus].rows);
    }
    if (rests && !self->was_heard) {
        self->blocks_to_warm = verbs->warm_up_blocks;
    } else {
        (shed && !rests ? verbs->hold : verbs->process)(context, step);
        self->blocks_to_warm -= self->blocks_to_warm > 0;
    }
    if (fades) {
        ae_bypass_mix(&self->bypass, buses[step->output_bus].rows, (float)self->was_heard,
                      (float)hears);
    }
    ae_bypass_advance(&self->bypass);
    self->was_heard = hears;
}
