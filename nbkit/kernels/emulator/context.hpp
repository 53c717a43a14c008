// A stack of its own for each fiber, and the way from one to another.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <vector>
#if !defined(__x86_64__) || defined(NB_UCONTEXT)
#include <ucontext.h>
#endif

namespace nb {
namespace {

constexpr size_t STACK = 64 << 10, PAGE = 4 << 10;

#if defined(__x86_64__) && !defined(NB_UCONTEXT)
using Context = void*;  // the stack pointer; registers that a function must keep lie there

extern "C" void nb_switch(Context* from, Context to);
asm(R"(
    .text
    .p2align 4
    .type nb_switch, @function
nb_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size nb_switch, .-nb_switch
)");
void change(Context& from, Context& to) { nb_switch(&from, to); }
void prepare(Context& context, uintptr_t stack, void (*start)()) {
    void** top = reinterpret_cast<void**>(stack + STACK);
    top[-2] = reinterpret_cast<void*>(start);  // what `ret` takes, behind six registers
    context = top - 8;
}
#else
using Context = ucontext_t;  // slower: it asks the system

void change(Context& from, Context& to) { swapcontext(&from, &to); }
void prepare(Context& context, uintptr_t stack, void (*start)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = reinterpret_cast<void*>(stack);
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, start, 0);
}
#endif

uintptr_t stack(size_t number) {  // kept from launch to launch; a page below each may not be touched
    static std::vector<uintptr_t> all;
    while (all.size() <= number) {
        void* place = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(place, PAGE, PROT_NONE);
        all.push_back(reinterpret_cast<uintptr_t>(place) + PAGE);
    }
    return all[number];
}

}  // namespace
}  // namespace nb
