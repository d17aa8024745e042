#include "ae_reblock.h"

#include "ae_math.h"

struct ae_reblock {
    ae_graph *graph;
    int block_frames;
    int position; /* frames gathered of the current block */
    int input_channels_total;
    int output_channels_total;
    float **inputs;               /* planar gathering block, a row per channel of every input */
    float **outputs;              /* planar block being given out */
    const float **inputs_or_null; /* what the graph is given: NULL where the caller had none */
    unsigned char *input_present; /* per input: the caller gave samples during this block */
};

static void layout(ae_reblock *self, ae_arena *arena, const ae_graph *graph)
{
    const int block = ae_graph_block_frames(graph), inputs = ae_graph_input_count(graph);
    int in = 0, out = 0;
    for (int i = 0; i < inputs; i++) in += ae_graph_input_channels(graph, i);
    for (int i = 0; i < ae_graph_output_count(graph); i++)
        out += ae_graph_output_channels(graph, i);
    float **in_rows = AE_TAKE(arena, in, float *);
    float **out_rows = AE_TAKE(arena, out, float *);
    const float **given = AE_TAKE(arena, in, const float *);
    unsigned char *present = AE_TAKE(arena, inputs, unsigned char);
    for (int c = 0; c < in; c++) {
        float *row = AE_TAKE(arena, block, float);
        if (self != NULL) in_rows[c] = row;
    }
    for (int c = 0; c < out; c++) {
        float *row = AE_TAKE(arena, block, float);
        if (self != NULL) out_rows[c] = row;
    }
    if (self == NULL) return;
    self->block_frames = block;
    self->input_channels_total = in;
    self->output_channels_total = out;
    self->inputs = in_rows;
    self->outputs = out_rows;
    self->inputs_or_null = given;
    self->input_present = present;
}

ae_status ae_reblock_create(ae_reblock **out, ae_graph *graph)
{
    *out = NULL;
    if (graph == NULL) return AE_ERROR_ARGUMENT;
    ae_arena measure = {0};
    AE_TAKE(&measure, 1, ae_reblock);
    layout(NULL, &measure, graph);
    ae_arena arena = {ae_allocate(measure.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_reblock *self = AE_TAKE(&arena, 1, ae_reblock);
    self->graph = graph;
    layout(self, &arena, graph);
    *out = self;
    return AE_OK;
}

void ae_reblock_destroy(ae_reblock *self) { ae_free(self); }

void ae_reblock_reset(ae_reblock *self)
{
    self->position = 0;
    for (int c = 0; c < self->input_channels_total; c++)
        ae_zero(self->inputs[c], self->block_frames);
    for (int c = 0; c < self->output_channels_total; c++) {
        ae_zero(self->outputs[c], self->block_frames);
    }
    memset(self->input_present, 0, (size_t)ae_graph_input_count(self->graph));
}

int ae_reblock_latency_frames(const ae_reblock *self) { return self->block_frames; }

static void gather(ae_reblock *self, const float *const *inputs, int offset, int frames)
{
    float **rows = self->inputs;
    for (int i = 0; i < ae_graph_input_count(self->graph); i++) {
        const int channels = ae_graph_input_channels(self->graph, i);
        const float *from =
            inputs[i] == NULL ? NULL : inputs[i] + (size_t)offset * (size_t)channels;
        for (int c = 0; c < channels; c++) {
            float *to = rows[c] + self->position;
            if (from == NULL)
                ae_zero(to, frames);
            else
                for (int n = 0; n < frames; n++) to[n] = from[n * channels + c];
        }
        if (from != NULL) self->input_present[i] = 1;
        rows += channels;
    }
}

static void give_out(ae_reblock *self, float *const *outputs, int offset, int frames)
{
    float **rows = self->outputs;
    for (int i = 0; i < ae_graph_output_count(self->graph); i++) {
        const int channels = ae_graph_output_channels(self->graph, i);
        float *to = outputs[i] + (size_t)offset * (size_t)channels;
        for (int c = 0; c < channels; c++) {
            const float *from = rows[c] + self->position;
            for (int n = 0; n < frames; n++) to[n * channels + c] = from[n];
        }
        rows += channels;
    }
}

static void run_graph(ae_reblock *self)
{
    int row = 0;
    for (int i = 0; i < ae_graph_input_count(self->graph); i++) {
        const int channels = ae_graph_input_channels(self->graph, i);
        for (int c = 0; c < channels; c++, row++) {
            self->inputs_or_null[row] = self->input_present[i] ? self->inputs[row] : NULL;
        }
        self->input_present[i] = 0;
    }
    ae_graph_process(self->graph, self->inputs_or_null, self->outputs);
    self->position = 0;
}

void ae_reblock_process(ae_reblock *self, const float *const *inputs, float *const *outputs,
                        int frames)
{
    for (int done = 0; done < frames;) {
        const int room = self->block_frames - self->position;
        const int now = frames - done < room ? frames - done : room;
        gather(self, inputs, done, now);
        give_out(self, outputs, done, now);
        self->position += now;
        done += now;
        if (self->position == self->block_frames) run_graph(self);
    }
}
