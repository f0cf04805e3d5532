//! Tests of runs. None depends on time: where threads must be somewhere, they are waited for.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::thread::{self, ThreadId};

use super::crew::Crew;
use super::simulation::{Machine, Report};
use super::{Step, Stopped, Work};

/// Tasks `0..count`, each of them what a function does, none waiting for another.
struct Tasks<F> {
    next: AtomicUsize,
    count: usize,
    task: F,
}

fn tasks<F: Fn(usize) -> Result<(), &'static str> + Sync>(count: usize, task: F) -> Tasks<F> {
    Tasks {
        next: AtomicUsize::new(0),
        count,
        task,
    }
}

impl<F: Fn(usize) -> Result<(), &'static str> + Sync> Work for Tasks<F> {
    type Error = &'static str;

    fn step(&self) -> Step<&'static str> {
        let number = self.next.fetch_add(1, SeqCst);
        if number >= self.count {
            return Step::Finished;
        }
        match (self.task)(number) {
            Ok(()) => Step::Done,
            Err(error) => Step::Failed(error),
        }
    }
}

fn never() -> Result<(), &'static str> {
    Ok(())
}

/// Goes on when it is so; a test that waits in vain is ended by whoever runs it.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// All helpers sleep.
fn rest(crew: &Crew) {
    until(|| crew.census().asleep == crew.census().started);
    assert_eq!(crew.census().at_work, 0);
}

#[test]
fn every_task_is_done_once() {
    let crew = Crew::simulated(|| 3);
    for threads in [0, 1, 2, 3, 8] {
        for count in [0, 1, 2, 100] {
            let done: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let work = tasks(count, |number| {
                done[number].fetch_add(1, SeqCst);
                Ok(())
            });
            assert_eq!(crew.run(threads, &work, never), Ok(()));
            assert!(done.iter().all(|done| done.load(SeqCst) == 1));
        }
    }
    rest(crew);
}

#[test]
fn one_thread_needs_no_other_and_many_runs_need_no_more_than_one_does() {
    let crew = Crew::simulated(|| 8);
    for threads in [1, 3] {
        for _ in 0..5000 {
            assert_eq!(crew.run(threads, &tasks(2, |_| Ok(())), never), Ok(()));
        }
        assert_eq!(crew.census().started, threads - 1);
    }
    rest(crew);
}

#[test]
fn as_many_threads_work_at_once_as_were_asked_for() {
    for (threads, processors) in [(2, (|| 8) as fn() -> usize), (8, || 8), (6, || 1)] {
        let crew = Crew::simulated(processors);
        let meeting = Barrier::new(threads);
        let present = Mutex::new(Vec::<ThreadId>::new());
        let work = tasks(3 * threads, |_| {
            meeting.wait();
            present
                .lock()
                .expect("no panic")
                .push(thread::current().id());
            Ok(())
        });
        assert_eq!(crew.run(threads, &work, never), Ok(()));
        let mut present = present.into_inner().expect("no panic");
        assert!(present.contains(&thread::current().id()));
        present.sort_by_key(|id| format!("{id:?}"));
        present.dedup();
        assert_eq!(present.len(), threads);
        rest(crew);
    }
}

#[test]
fn the_first_failure_ends_the_run() {
    for threads in [1, 3] {
        let crew = Crew::simulated(|| 3);
        let begun = AtomicUsize::new(0);
        let meeting = Barrier::new(threads);
        let work = tasks(1000, |number| {
            begun.fetch_add(1, SeqCst);
            meeting.wait();
            if number == 0 {
                return Err("the first");
            }
            // The others fail when that thread has left or waits for them.
            until(|| crew.census().at_work < threads);
            Err("another")
        });
        assert_eq!(
            crew.run(threads, &work, never),
            Err(Stopped::Failed("the first"))
        );
        assert_eq!(begun.load(SeqCst), threads);
        rest(crew);
    }
}

#[test]
fn an_interruption_between_two_tasks_ends_the_run() {
    for threads in [1, 2] {
        let crew = Crew::simulated(|| 2);
        let asked = AtomicUsize::new(0);
        let work = tasks(usize::MAX, |_| {
            thread::yield_now();
            Ok(())
        });
        let interrupted = || match asked.fetch_add(1, SeqCst) {
            0 => Ok(()),
            _ => Err("stop"),
        };
        let result = crew.run(threads, &work, interrupted);
        assert_eq!(result, Err(Stopped::Interrupted("stop")));
        assert_eq!(asked.load(SeqCst), 2);
        rest(crew);
    }
}

/// A task that a helper does while the caller has nothing to do.
struct Waited<F> {
    caller: ThreadId,
    meeting: Barrier,
    state: Mutex<Task>,
    task: F,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Meeting,
    Begun,
    Done,
}

impl<F: Fn() + Sync> Work for Waited<F> {
    type Error = &'static str;

    fn step(&self) -> Step<&'static str> {
        match self.state() {
            Task::Meeting => {
                self.meeting.wait();
                if thread::current().id() == self.caller {
                    until(|| self.state() != Task::Meeting);
                } else {
                    *self.state.lock().expect("no panic") = Task::Begun;
                    (self.task)();
                    *self.state.lock().expect("no panic") = Task::Done;
                }
                Step::Done
            }
            Task::Begun => Step::Waiting,
            Task::Done => Step::Finished,
        }
    }
}

impl<F> Waited<F> {
    fn state(&self) -> Task {
        *self.state.lock().expect("no panic")
    }
}

fn waited<F: Fn() + Sync>(task: F) -> Waited<F> {
    Waited {
        caller: thread::current().id(),
        meeting: Barrier::new(2),
        state: Mutex::new(Task::Meeting),
        task,
    }
}

#[test]
fn the_caller_is_interrupted_while_it_waits_for_a_helper() {
    let crew = Crew::simulated(|| 2);
    let asked = AtomicUsize::new(0);
    let work = waited(|| until(|| asked.load(SeqCst) == 3));
    let interrupted = || match asked.fetch_add(1, SeqCst) {
        2 => Err("stop"),
        _ => Ok(()),
    };
    let result = crew.run(2, &work, interrupted);
    assert_eq!(result, Err(Stopped::Interrupted("stop")));
    // The helper's task was waited for.
    assert_eq!(work.state(), Task::Done);
    rest(crew);
}

#[test]
fn a_brief_call_has_as_many_threads_as_find_a_processor_once_a_caller_has_waited() {
    let crew = Crew::simulated(|| 4);
    let unasked = || unreachable!("it takes time to find out");
    assert_eq!(crew.threads_at_once(4, unasked), 4);
    // The helper's task ends when the caller sleeps.
    let work = waited(|| until(|| crew.threads_at_once(4, || Some(0)) == 1));
    assert_eq!(crew.run(2, &work, never), Ok(()));
    for (idle, threads) in [(0, 1), (2, 3)] {
        assert_eq!(crew.threads_at_once(4, || Some(idle)), threads);
    }
    assert_eq!(crew.threads_at_once(1, unasked), 1);
    // Where there are enough, nobody asks again until a caller waits.
    assert_eq!(crew.threads_at_once(4, || Some(3)), 4);
    assert_eq!(crew.threads_at_once(4, unasked), 4);
    rest(crew);
}

#[test]
fn a_panic_on_any_thread_reaches_the_caller_and_leaves_the_crew_as_it_was() {
    let crew = Crew::simulated(|| 3);
    let caller = thread::current().id();
    for (threads, on_caller) in [(1, true), (3, true), (3, false)] {
        let meeting = Barrier::new(threads);
        let work = tasks(1000, |number| {
            if number < threads {
                meeting.wait();
            }
            if (thread::current().id() == caller) == on_caller {
                panic::panic_any("a task");
            }
            Ok(())
        });
        let caught = panic::catch_unwind(AssertUnwindSafe(|| crew.run(threads, &work, never)));
        let payload = caught.expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&"a task"));
        rest(crew);
    }
    let interrupted = || panic::panic_any("the question");
    let work = tasks(usize::MAX, |_| Ok(()));
    let caught = panic::catch_unwind(AssertUnwindSafe(|| crew.run(3, &work, interrupted)));
    assert!(caught.is_err());
    rest(crew);
    assert_eq!(crew.run(3, &tasks(9, |_| Ok(())), never), Ok(()));
    assert_eq!(crew.census().started, 2);
}

#[test]
fn a_task_may_run_tasks_of_its_own() {
    let crew = Crew::simulated(|| 2);
    let done = AtomicUsize::new(0);
    let inner = || {
        crew.run(
            2,
            &tasks(5, |_| {
                done.fetch_add(1, SeqCst);
                Ok(())
            }),
            never,
        )
        .map_err(|_| "inner")
    };
    let middle = || {
        crew.run(3, &tasks(5, |_| inner()), never)
            .map_err(|_| "middle")
    };
    assert_eq!(crew.run(2, &tasks(5, |_| middle()), never), Ok(()));
    assert_eq!(done.load(SeqCst), 125);
    rest(crew);
}

#[test]
fn a_run_ends_without_helpers_that_are_busy_elsewhere() {
    let crew = Crew::simulated(|| 2);
    let meeting = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            let held = tasks(2, |_| {
                meeting.wait();
                meeting.wait();
                Ok(())
            });
            crew.run(2, &held, never)
        });
        meeting.wait();
        // Both threads of the other run are in a task, and stay there.
        assert_eq!(crew.census().at_work, 2);
        assert_eq!(crew.run(2, &tasks(100, |_| Ok(())), never), Ok(()));
        meeting.wait();
    });
    rest(crew);
}

/// Runs of all kinds at once, for the sanitizers.
#[test]
fn callers_do_not_disturb_each_other() {
    let crew = Crew::simulated(|| 4);
    thread::scope(|scope| {
        for caller in 0..6 {
            scope.spawn(move || {
                for round in 0..200 {
                    let (threads, count) = (1 + (caller + round) % 6, (7 * round) % 23);
                    let bad = (round % 5 == 0).then_some(count / 2);
                    // Each task has a place of its own, which the caller reads without a lock.
                    let mut places = vec![0; count];
                    let result = {
                        let slots: Vec<_> = places.iter_mut().map(Mutex::new).collect();
                        let work = tasks(count, |number| {
                            **slots[number].lock().expect("no panic") += number;
                            if bad == Some(number) {
                                Err("bad")
                            } else {
                                Ok(())
                            }
                        });
                        crew.run(threads, &work, never)
                    };
                    if bad.is_some_and(|bad| bad < count) {
                        assert_eq!(result, Err(Stopped::Failed("bad")));
                    } else {
                        assert_eq!(result, Ok(()));
                        assert!(places.iter().copied().eq(0..count));
                    }
                }
            });
        }
    });
    rest(crew);
}

/// Tasks that wait for each other and take time on a simulated machine.
struct Graph<'a> {
    machine: &'a Machine,
    /// For each task how long it takes and the tasks before it.
    tasks: Vec<(u64, Vec<usize>)>,
    state: Mutex<Vec<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Left,
    Begun,
    Done,
}

impl<'a> Graph<'a> {
    fn new(machine: &'a Machine, tasks: Vec<(u64, Vec<usize>)>) -> Self {
        let state = Mutex::new(vec![State::Left; tasks.len()]);
        Self {
            machine,
            tasks,
            state,
        }
    }
}

impl Work for Graph<'_> {
    type Error = ();

    fn step(&self) -> Step<()> {
        let mut state = self.state.lock().expect("no panic");
        let ready = |number: &usize| {
            let before = &self.tasks[*number].1;
            state[*number] == State::Left && before.iter().all(|task| state[*task] == State::Done)
        };
        if let Some(number) = (0..state.len()).find(ready) {
            state[number] = State::Begun;
            drop(state);
            self.machine.spend(self.tasks[number].0);
            self.state.lock().expect("no panic")[number] = State::Done;
            Step::Done
        } else if state.contains(&State::Left) {
            Step::Waiting
        } else {
            Step::Finished
        }
    }
}

/// 64 stages of one tick, and as many bands of two ticks that wait for one each. A band is begun
/// before another stage.
fn stages_and_bands(stages_in_a_row: bool) -> Vec<(u64, Vec<usize>)> {
    let bands = (0..64).map(|band| (2, vec![64 + band]));
    let stages = (64..128).map(|stage| {
        let before = (stages_in_a_row && stage > 64).then(|| stage - 1);
        (1, before.into_iter().collect())
    });
    bands.chain(stages).collect()
}

#[test]
fn a_run_takes_as_long_as_its_longest_chain_or_leaves_no_processor_idle() {
    for processors in [(|| 8) as fn() -> usize, || 32] {
        let count = processors();
        let ticks = 64 * 3;
        for (in_a_row, time) in [(false, ticks / count as u64), (true, 64 + 2)] {
            let machine = Machine::new(processors);
            let graph = Graph::new(&machine, stages_and_bands(in_a_row));
            let report = machine.run(count, &graph);
            let idle = time * count as u64 - ticks;
            assert_eq!(report, Report { time, idle }, "{count} processors");
            rest(machine.crew);
            assert_eq!(machine.crew.census().started, count - 1);
        }
    }
}

/// As long as the first stage takes one thread waits, on whose being woken the rest depends.
#[test]
fn who_waits_goes_on_when_a_task_is_done() {
    let machine = Machine::new(|| 2);
    let graph = Graph::new(&machine, stages_and_bands(true));
    let report = machine.run(2, &graph);
    assert_eq!(report, Report { time: 97, idle: 2 });
}

/// What a server does: a long batch, and brief calls of other threads.
#[test]
fn helpers_come_back_after_brief_calls() {
    let machine = Machine::new(|| 4);
    let crew = machine.crew;
    let (begin, brief_calls) = (Barrier::new(7), AtomicUsize::new(0));
    let at_work = Mutex::new(vec![0; 1500]);
    let long = tasks(1500, |number| {
        if number == 100 {
            begin.wait();
            until(|| brief_calls.load(SeqCst) == 6);
        }
        machine.spend(1);
        at_work.lock().expect("no panic")[number] = crew.census().at_work;
        Ok(())
    });
    let report = thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                begin.wait();
                let brief = tasks(3, |number| {
                    brief_calls.fetch_add(usize::from(number == 0), SeqCst);
                    machine.spend(1);
                    Ok(())
                });
                crew.run(1, &brief, never)
            });
        }
        machine.run(4, &long)
    });
    // For three ticks the calling threads are alone, and at the end helpers find nothing.
    let at_work = at_work.into_inner().expect("no panic");
    assert_eq!(at_work[120..1490], [4; 1370]);
    let ticks = (1500 - 3) / 4 + 3;
    assert!((ticks..ticks + 2).contains(&report.time), "{report:?}");
    assert!(report.idle < 2 * 4, "{report:?}");
    rest(crew);
}
