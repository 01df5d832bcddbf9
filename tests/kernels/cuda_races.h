// Watches every access of the kernel: two threads at one place between two barriers, one of them writing, is a race.
//
// The compiler inserts a call before each read and write (-fsanitize=thread); its own library is not linked, the calls
// land here. The memory of accesses is a table with a slot for each address; where two addresses share one, the later
// takes it, so a race may be missed but none is made up.

#include <stdint.h>

#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))

namespace races {

enum { NOBODY = -1, SEVERAL = -2 };
enum Access { READ, WRITE, ATOMIC, ACCESSES };

struct Slot {
    uintptr_t place;
    unsigned epoch;
    int by[ACCESSES];
};

constexpr unsigned SLOTS = 1u << 18;
static Slot slots[SLOTS];
static unsigned epoch = 1;  // goes on at each barrier
static const unsigned *thread = nullptr;
static uintptr_t found = 0;

UNWATCHED static void see(uintptr_t word, Access access) {
    Slot &slot = slots[(word ^ (word >> 18)) & (SLOTS - 1)];
    if (slot.place != word || slot.epoch != epoch) slot = {word, epoch, {NOBODY, NOBODY, NOBODY}};
    const int own = (int)*thread;
    for (int other = READ; other < ACCESSES; other++) {
        const bool harmless = other == (int)access && access != WRITE;
        if (!harmless && slot.by[other] != NOBODY && slot.by[other] != own && found == 0) found = word * 4;
    }
    slot.by[access] = slot.by[access] == NOBODY || slot.by[access] == own ? own : SEVERAL;
}

UNWATCHED static void see(const void *place, unsigned bytes, Access access) {
    if (thread == nullptr) return;
    const uintptr_t first = (uintptr_t)place / 4, last = ((uintptr_t)place + bytes - 1) / 4;
    for (uintptr_t word = first; word <= last; word++) see(word, access);
}

}  // namespace races

#define SEE(BYTES)                                                                                              \
    extern "C" UNWATCHED void __tsan_read##BYTES(void *place) { races::see(place, BYTES, races::READ); }         \
    extern "C" UNWATCHED void __tsan_write##BYTES(void *place) { races::see(place, BYTES, races::WRITE); }       \
    extern "C" UNWATCHED void __tsan_unaligned_read##BYTES(void *place) { races::see(place, BYTES, races::READ); } \
    extern "C" UNWATCHED void __tsan_unaligned_write##BYTES(void *place) { races::see(place, BYTES, races::WRITE); }
SEE(1) SEE(2) SEE(4) SEE(8) SEE(16)
extern "C" UNWATCHED void __tsan_read_range(void *place, unsigned long bytes) { races::see(place, bytes, races::READ); }
extern "C" UNWATCHED void __tsan_write_range(void *place, unsigned long bytes) { races::see(place, bytes, races::WRITE); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}
