// Several ticks of a population at once, its state in registers.
//
// How many ticks are in hand says the plan: as many as a spike takes at least on its way back to where it comes from,
// one where anything looks at the state after each tick (records, couplings), holds samples, or learns. Of a population
// a thread then has a neuron: it loads its state, goes through the ticks in hand, and stores it; all arrives on the way
// as in a single tick. The spikes of up to 64 ticks are bits of a word of the thread; once they are all there, the
// block lists them, tick by tick. So the blocks wait for each other twice a level for all ticks in hand.

// The last tick at which anything arrived or, where it was looked at, moved; one more, so that 0 is none.
__device__ __forceinline__ void stir(Shared &shared, integer tick) {
    atomicMax(&shared.stirred, (unsigned long long)tick + 1);
}

// Where it is noted that a state is not a number. Single ticks: the population, in a word for even ticks and one for odd
// ones, so that none is written to while another block still reads it. Ticks in hand: which of them, then population and
// neuron, in the first word.
__device__ __forceinline__ unsigned long long *lost_at(const Net &net, integer tick) {
    return (unsigned long long *)net.work + W_LOST + (net.plan[X_HAND] > 1 ? 0 : tick % 2);
}

// Adds up what acts through each of the projections that are listed; says whether anything did.
__device__ __noinline__ bool deliver_listed(
    const Net &net, integer first, integer count, bool wide, integer tick, const Own &own, Shared &shared) {
    bool came = false;
    for (integer k = first; k < first + count; k++) {
        const integer number = net.table[k];
        const bool half = row_of(net, H_PROJECTION, PROJECTION, number)[P_HALF];
        bool any;
        if (wide && half) any = deliver(net, number, net.real64, net.weight16, tick, own, shared);
        else if (wide) any = deliver(net, number, net.real64, net.weight64, tick, own, shared);
        else if (half) any = deliver(net, number, net.real32, net.weight16, tick, own, shared);
        else any = deliver(net, number, net.real32, net.weight32, tick, own, shared);
        came = came || any;
    }
    return came;
}

// Whether any event acts on a population before tick `end`.
__device__ __noinline__ bool listens(const Net &net, const integer *group, integer end) {
    const integer *head = net.table;
    for (integer k = group[G_LIST]; k < group[G_LIST] + group[G_LISTED]; k++) {
        const integer number = net.table[k], *projection = row_of(net, H_PROJECTION, PROJECTION, number);
        const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
        const integer *delay = net.table + projection[P_DELAY], *cursor = cursors_of(net, number);
        for (integer d = 0; d < projection[P_DELAYS]; d++) {
            const integer next = cursor[2 * d];
            if (next == source[S_COUNT]) continue;
            if (net.time[source[S_OFFSET] + next] < head[H_ORIGIN] + (end - delay[2 * d]) * head[H_STEP]) return true;
        }
    }
    return false;
}

// Keeps how far the events of a population are read, or goes back to there: each part of its neurons reads them anew.
__device__ __noinline__ void mark_cursors(const Net &net, const integer *group, bool back) {
    for (integer k = group[G_LIST]; k < group[G_LIST] + group[G_LISTED]; k++) {
        const integer number = net.table[k], *projection = row_of(net, H_PROJECTION, PROJECTION, number);
        integer *cursor = cursors_of(net, number), *kept = kept_cursors_of(net, number);
        for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) {
            if (back) cursor[2 * d] = kept[d];
            else kept[d] = cursor[2 * d];
        }
    }
}

// Lists those of the block's threads whose neuron `n` spikes behind the `before` that are listed; returns how many then
// are. No bit of `shared.spiked` is set on entry and on return.
__device__ integer list_spikes(integer n, bool spikes, unsigned *fired, integer before, Shared &shared) {
    const unsigned word = threadIdx.x / 32, bit = 1u << threadIdx.x % 32, words = (blockDim.x + 31) / 32;
    unsigned *spiked = shared.spiked;
    if (spikes) atomicOr(&spiked[word], bit);
    __syncthreads();  // P: every bit is set
    for (unsigned w = 0; w < words; w++) {
        if (w == word && spikes) fired[before + __popc(spiked[w] & (bit - 1))] = (unsigned)n;
        before += __popc(spiked[w]);
    }
    __syncthreads();  // Q: every bit is counted
    if (spikes) atomicAnd(&spiked[word], ~bit);
    return before;
}

// As `list_spikes`, of each tick in hand in which the block has any; a thread has those of its neuron in `bits`.
__device__ __noinline__ void list_ticks(
    const Net &net, integer n, unsigned long long bits, unsigned *fired, integer ticks, Shared &shared) {
    if (threadIdx.x == 0) shared.any = 0;
    __syncthreads();  // Z: no tick is said to have a spike
    if (bits != 0) atomicOr(&shared.any, bits);
    __syncthreads();  // AA: each that has one is
    const unsigned long long any = shared.any;
    for (integer step = 0; step < ticks; step++) {
        if ((any >> step & 1) == 0) continue;
        unsigned *listed = fired + step * net.plan[X_ROOM];
        const integer found = list_spikes(n, bits >> step & 1, listed, shared.found_in[step], shared);
        if (threadIdx.x == 0) shared.found_in[step] = found;
    }
    __syncthreads();  // AB: every thread knows which ticks have spikes
}

// What a thread knows of its neuron while ticks are in hand.
template <class Model>
struct Neuron {
    Model model;
    integer number, counted, stirred;  // `counted` as noise counts it; `stirred` the last tick that stirred it, or -1
    unsigned long long spikes;         // a bit for each tick in hand
    bool moves;                        // false beyond the population, and once a state is lost: it is to be found
};

// One tick of one neuron, the `step`th in hand; says whether its state is lost. `came` is the same in the whole block.
template <class Model>
__device__ __forceinline__ bool pass(
    Neuron<Model> &neuron, typename Model::number *cell, const typename Model::number *constant, const integer *key,
    integer tick, int step, bool came) {
    bool lost = false, moved = false;
    const bool spikes = move_on(neuron.model, cell, came, constant, key, neuron.counted, tick, lost, moved);
    neuron.spikes |= (unsigned long long)spikes << step;
    if (moved) neuron.stirred = tick;
    return lost;
}

template <class Model>
__device__ void note_lost(const Net &net, Neuron<Model> &neuron, integer place, integer tick, int step) {
    neuron.moves = false;
    const unsigned long long first = (unsigned long long)step << 52 | (unsigned long long)place << 32 | neuron.number;
    atomicMin(lost_at(net, tick), first);
}

// All ticks in hand of one neuron, where nothing arrives. A function of its own: in it the state, and the constants as
// well, have all registers to themselves; where the block delivers in between, some of them are kept in local memory.
template <class Model>
__device__ __noinline__ void pass_silence(
    const Net &net, Neuron<Model> &neuron, typename Model::number *cell, const typename Model::number *constant,
    const integer *key, integer place, integer first, int ticks) {
    Neuron<Model> own = neuron;
    bool lost = false;
    int step = 0;
#pragma unroll 1  // each copy of a tick would want registers of its own
    for (; step < ticks && !lost; step++) lost = pass(own, cell, constant, key, first + step, step, false);
    if (lost) note_lost(net, own, place, first + step - 1, step - 1);
    neuron = own;
}

// The block's neurons of a population go through `ticks` ticks from `first` on.
template <class Model>
__device__ __noinline__ void run_ticks(
    const Net &net, integer place, integer first, integer ticks, Shared &shared) {
    const integer *group = row_of(net, H_GROUP, GROUP, place), *key = net.table + group[G_KEY];
    const Own own = own_neurons(net, place);
    unsigned *fired = net.fired + net.plan[PLAN + place * SPREAD + X_FIRED] + own.first;
    integer *counts = counts_of(net, place) + blockIdx.x * net.plan[X_COUNTS];
    typename Model::number *reals = numbers_of(net, Model{});
    const typename Model::number *constant = reals + group[G_CONSTANT];
    const bool hears = own.first < own.end && listens(net, group, first + ticks);
    for (integer step = threadIdx.x; step < ticks; step += blockDim.x) shared.found_in[step] = 0;
    mark_cursors(net, group, false);
    for (integer from = own.first; from < own.end; from += blockDim.x) {
        const integer n = from + threadIdx.x;
        typename Model::number *cell = cell_of(reals, group, 0, n < own.end ? n : from);
        Neuron<Model> neuron = {{}, n, Model::noisy ? n % group[G_EACH] : n, -1, 0, n < own.end};
        if (n < own.end) load(neuron.model, cell);
        if (hears && from > own.first) mark_cursors(net, group, true);
        if (!hears && neuron.moves) pass_silence(net, neuron, cell, constant, key, place, first, (int)ticks);
#pragma unroll 1
        for (int step = 0; step < ticks && hears; step++) {
            const Own part = {from, from + blockDim.x < own.end ? from + blockDim.x : own.end};
            const bool came =
                deliver_listed(net, group[G_LIST], group[G_LISTED], Model::wide, first + step, part, shared);
            if (came) neuron.stirred = first + step;
            if (neuron.moves && pass(neuron, cell, constant, key, first + step, step, came))
                note_lost(net, neuron, place, first + step, step);
        }
        if (n < own.end) store(neuron.model, cell);
        if (neuron.stirred >= 0) stir(shared, neuron.stirred);
        list_ticks(net, n, neuron.spikes, fired, ticks, shared);
    }
    for (integer step = threadIdx.x; step < ticks; step += blockDim.x) counts[1 + step] = shared.found_in[step];
    if (threadIdx.x == 0) counts[0] = row_of(net, H_SOURCE, SOURCE, place)[S_COUNT];
}

// Of each tick how many spikes the blocks before this one have, and all of them; returns how many in all ticks.
__device__ __noinline__ integer count_spikes(const Net &net, integer place, integer ticks, Shared &shared) {
    const integer *counts = counts_of(net, place), width = net.plan[X_COUNTS];
    __syncthreads();  // AC: the counts of the population before are read
    for (integer step = threadIdx.x; step < ticks; step += blockDim.x) {
        integer before = 0, all = 0;
        for (unsigned block = 0; block < gridDim.x; block++) {
            if (block == blockIdx.x) before = all;
            all += counts[block * width + 1 + step];
        }
        shared.before[step] = before, shared.found_in[step] = all;
    }
    __syncthreads();  // AD: they are added up
    integer total = 0;
    for (integer step = 0; step < ticks; step++) total += shared.found_in[step];
    return total;
}

// What a spike of the neuron carries.
__device__ double carried(const Net &net, const integer *group, integer neuron) {
    if (is_double(group[G_FORM])) return *cell_of(net.real64, group, group[G_VALUE], neuron);
    return *cell_of(net.real32, group, group[G_VALUE], neuron);
}

// Writes down the spikes of the ticks in hand, in their order: of each tick behind those of the blocks before this one.
__device__ void write_spikes(const Net &net, integer place, integer first, integer ticks, Shared &shared) {
    const integer *head = net.table, *group = row_of(net, H_GROUP, GROUP, place);
    const Own own = own_neurons(net, place);
    integer *source = row_of(net, H_SOURCE, SOURCE, place);
    const integer *counts = counts_of(net, place) + blockIdx.x * net.plan[X_COUNTS];
    const unsigned *fired = net.fired + net.plan[PLAN + place * SPREAD + X_FIRED] + own.first;
    if (count_spikes(net, place, ticks, shared) == 0 || own.first == own.end) return;
    integer at = counts[0];
    for (integer step = 0; step < ticks; step++) {
        const integer begin = at + shared.before[step], tick = first + step;
        for (integer k = threadIdx.x; k < counts[1 + step]; k += blockDim.x) {
            const unsigned neuron = fired[step * net.plan[X_ROOM] + k];
            net.index[source[S_OFFSET] + begin + k] = neuron;
            net.time[source[S_OFFSET] + begin + k] = head[H_ORIGIN] + tick * head[H_STEP];
            if (group[G_VALUE] >= 0) net.value[source[S_VALUE] + begin + k] = carried(net, group, neuron);
        }
        at += shared.found_in[step];
    }
    if (threadIdx.x == 0 && own.end == group[G_SIZE]) source[S_COUNT] = at;
}

// How far a launch came.
struct Way {
    integer tick, full, found, level, end;
    unsigned long long lost;
};

// Steps from H_TICK to H_PAUSE by hands of ticks; stops where a population has no room for its spikes, which then wait
// in `fired`, or behind a hand in which a state was not a number.
__device__ Way step_hands(const Net &net, Shared &shared) {
    const integer *table = net.table, *order = table + table[H_ORDER];
    Way way = {table[H_TICK], -1, -1, 0, 0, ~0ULL};
    bool moved = table[H_FOUND] >= 0;  // it goes on where there was no room
    if (moved) way.level = table[H_AT];
    while (way.tick < table[H_PAUSE] && way.lost == ~0ULL) {
        const integer least = way.tick + net.plan[X_HAND];
        way.end = moved ? table[H_END] : least < table[H_PAUSE] ? least : table[H_PAUSE];
        const integer ticks = way.end - way.tick;
        for (; way.level < net.plan[X_LEVELS]; way.level++) {
            const integer *ends = net.plan + net.plan[X_ENDS] + way.level;
            const integer begin = way.level > 0 ? ends[-1] : 0, end = ends[0];
            for (integer g = begin; g < end && !moved; g++) run(net, order[g], way.tick, ticks, shared);
            moved = false;
            meet(net);  // 11: all have gone through these ticks
            way.lost = *lost_at(net, way.tick);  // an error; what else is lost in these ticks may be earlier
            const bool whole = way.lost == ~0ULL;
            for (integer g = begin; g < end && whole && way.full < 0; g++) {
                const integer *source = row_of(net, H_SOURCE, SOURCE, order[g]);
                const integer found = count_spikes(net, order[g], ticks, shared);
                const integer held = counts_of(net, order[g])[blockIdx.x * net.plan[X_COUNTS]];
                if (source[S_KEPT] && source[S_CAPACITY] - held < found) way.full = order[g], way.found = found;
            }
            if (way.full >= 0) return way;
            for (integer g = begin; g < end && whole; g++) write_spikes(net, order[g], way.tick, ticks, shared);
            meet(net);  // 12: their spikes are written down
        }
        way.level = 0;
        if (way.lost == ~0ULL) way.tick = way.end;
    }
    return way;
}
