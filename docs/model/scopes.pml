/*
 * A step that holds scopes (N items, at most CONC open), worked on by two engines.
 *
 * What is a row here: the holder's view, a scope, an inbox row (one per scope and run of the holder), tickets.
 * What is a transaction here: locks taken one by one, reads in statements of their own, one commit at the end.
 * Everything between two atomic blocks can be interleaved, so a row that is written but not yet committed is
 * invisible to others, as at READ COMMITTED.
 *
 * Switches (all have the proposed value as default; see README.md for the ones that fail):
 *   TICKET   0 insert the ticket unless there is one   1 always insert one of its own   2 insert or lock the one there is
 *            3 no tickets of scopes' ends: only PULSE finds them
 *   SWEEP    0 take only the ticket that came          1 take all, before the inbox is read
 *            2 take all, after the inbox is read
 *   NEWS     1 the engine that holds the holder's view is told of rows, reads them without a lock, and folds them in a later
 *            commit, with their tickets   0 it does not
 *   TAKEALL  1 that commit fails unless all that it has read are still there   0 it takes those that are
 *   KEEP     1 an end that an old copy of the holder takes for late goes into the inbox   0 it is dropped, without a guard
 *   REREAD   1 a commit that is decided twice reads the inbox again   0 it counts what it had read before as well
 *   BYMAX    1 delete inbox rows by "all there are at the end" instead of those that were read
 *   EPOCH    1 an inbox row names the run of the holder it belongs to   0 it does not
 *   CTRL     0 nothing 1 cancel 2 stop 3 pause and resume 4 an item fails, stop 5 the same, then a retry
 *   RAISE    1 ends from above raise the sequence of each scope below (and so void claims)   0 they do not
 *   RECOUNT  1 a stop counts open scopes anew from their rows   0 it takes off as many as it ended
 *   WAKE     1 resume leaves a ticket for the holder   0 it does not
 *   PSC      1 pause is written into the rows of the scopes below   0 only into the holder's
 *   KILLS, LOST, DUPS   how often an engine may die, an answer may be lost, a ticket may appear twice
 *   RESCUE   1 the claims of a dead engine are taken back by the pulse of another    0 they are not
 *   PULSE    1 the pulse also looks for inbox rows and free places that nobody was told of
 */
#ifndef TICKET
#define TICKET 1
#endif
#ifndef SWEEP
#define SWEEP 0
#endif
#ifndef NEWS
#define NEWS (TICKET == 1)
#endif
#ifndef TAKEALL
#define TAKEALL 1
#endif
#ifndef KEEP
#define KEEP 1
#endif
#ifndef REREAD
#define REREAD 1
#endif
#ifndef BYMAX
#define BYMAX 0
#endif
#ifndef EPOCH
#define EPOCH 1
#endif
#ifndef CTRL
#define CTRL 0
#endif
#ifndef RAISE
#define RAISE 1
#endif
#ifndef RECOUNT
#define RECOUNT 0
#endif
#ifndef WAKE
#define WAKE 1
#endif
#ifndef PSC
#define PSC 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef LOST
#define LOST 0
#endif
#ifndef DUPS
#define DUPS 0
#endif
#ifndef RESCUE
#define RESCUE 1
#endif
#ifndef PULSE
#define PULSE 0
#endif
#ifndef N
#define N 3
#endif
#ifndef CONC
#define CONC 2
#endif
#if RAISE
#define GUARD (s[i] == RUN && own[i] == me && ver[i] == mv[i])
#else
#define GUARD (ver[i] == mv[i])    /* as if the sequence were all that is asked for */
#endif
#define R (2*N)            /* places for inbox rows: run 0, then run 1 */

mtype = { NONE, OPEN, RUN, DONE, FAIL, CANC };
#define FINAL(x) (x == DONE || x == FAIL || x == CANC)

/* ---- the database ---- */
mtype h = OPEN;            /* the holder */
byte h_open, h_done;       /* its counters */
bit  paused, stopping;
bit  turn;                 /* which run of the holder this is: a retry begins the next */
byte h_lock;               /* 0: free; else who */
mtype s[N]; byte own[N]; byte ver[N]; byte s_lock[N]; bit s_run[N]; bit s_paused[N];
byte inbox[R];             /* 0 no row, 1 ended well, 2 failed */
byte rt, rt_taken;         /* tickets that came with a row, by its place; of these locked by somebody who is about to delete them */
byte tk, tk_taken;         /* all other tickets */
byte tk_ins;               /* somebody has inserted the only ticket and not yet committed */

/* ---- the memory of engines: is their copy of the holder's view the latest? ---- */
mtype = { NOTHING, STALE, CURRENT };
mtype mem[2];
bit  told[2];              /* a notification has come: there may be rows */
bit  killed[2]; byte gen[2]; bit deadtok[6];
byte kills = KILLS, lost = LOST, fails = 1;

/* ---- what is only there to be checked ---- */
byte counted[N]; byte completions;
byte x, y;                 /* scratch, only inside atomic blocks */

#define OPENNOW (((s[0]==OPEN)||(s[0]==RUN)) + ((s[1]==OPEN)||(s[1]==RUN)) + ((s[2]==OPEN)||(s[2]==RUN)))

inline changed_by(e) {     /* the holder's sequence is raised: all other copies are old now */
  if :: mem[0] == CURRENT && e != 0 -> mem[0] = STALE :: else fi;
  if :: mem[1] == CURRENT && e != 1 -> mem[1] = STALE :: else fi;
}
inline finish_below() {
  for (x : 0 .. N-1) {
    if
    :: s[x] == OPEN || s[x] == RUN -> s[x] = CANC; own[x] = 0; h_open--;
#if RAISE
       ver[x]++;
#endif
    :: else
    fi
  }
}
inline open_more() {
  for (x : 0 .. N-1) {
    if
    :: h_open < CONC && s[x] == NONE ->
       assert(!paused && !stopping && !FINAL(h));
       s[x] = OPEN; own[x] = 0; s_run[x] = turn; ver[x]++; h_open++
    :: else
    fi
  }
  assert(OPENNOW <= CONC);
}
inline settle_holder(failing) {   /* what the holder is by now */
  if
  :: FINAL(h)
  :: !FINAL(h) && failing -> h = FAIL; finish_below()
  :: !FINAL(h) && !failing && stopping ->
     if :: h_open == 0 -> h = CANC :: else fi
  :: !FINAL(h) && !failing && !stopping && h_done == N ->
     h = DONE; completions++; assert(completions == 1);
     for (x : 0 .. N-1) { assert(counted[x] == 1 && s[x] == DONE) }
  :: !FINAL(h) && !failing && !stopping && h_done < N && !paused -> open_more()
  :: else
  fi;
  assert(!FINAL(h) || OPENNOW == 0);
}
inline count_end(i, good) {
  counted[i]++; assert(counted[i] == 1);
  h_open--;
  if :: good -> h_done++ :: else -> f = 1 fi
}
inline fold_rows() {
  for (y : 0 .. R-1) {
    if
    :: (rd & (1 << y)) ->
       if
       :: FINAL(h)
       :: !FINAL(h) && EPOCH && (y / N) != turn
       :: else -> count_end((y % N), (inbox[y] == 1))
       fi;
       inbox[y] = 0
    :: else
    fi
  }
#if BYMAX
  for (y : 0 .. R-1) { inbox[y] = 0 }
#endif
}
inline read_inbox() {
  rd = 0; f = 0; wide = 0;
  for (x : 0 .. R-1) {
    if :: inbox[x] > 0 -> rd = rd | (1 << x) :: else fi;
    if :: inbox[x] == 2 && (!EPOCH || (x / N) == turn) && !FINAL(h) -> wide = 1 :: else fi
  }
}
inline unlock_all() {
  if :: h_lock == T -> h_lock = 0 :: else fi;
  for (x : 0 .. N-1) { if :: s_lock[x] == T -> s_lock[x] = 0 :: else fi };
  tk_taken = tk_taken - took; took = 0;
  rt_taken = rt_taken & ~took_rt; took_rt = 0;
  if :: tk_ins == T -> tk_ins = 0 :: else fi;
}

/* A dead engine's transaction may break off at any step, or go on to its commit without it. */
#define MAYDIE  if :: killed[e] -> goto broken :: true fi

proctype Engine(byte e) {
  byte T = e + 1;          /* who holds a lock */
  byte me = 1 + e;         /* whose claim it is: a new one after each death */
  byte mine, i, rd, took, took_rt, v;
  byte news;               /* rows that were read without a lock, for a later commit */
  byte mv[N];
  bit f, wide, locked, along, late, bad, ins;

idle:
  atomic { x = 0; y = 0; rd = 0; took = 0; took_rt = 0; v = 0; f = 0; wide = 0; locked = 0; along = 0; late = 0; bad = 0; i = 0; ins = 0 }
end_idle:
  if
  :: atomic { killed[e] -> goto restart }
  /* claim a scope's step */
  :: atomic { !killed[e] && s[0] == OPEN && !s_paused[0] -> i = 0; v = ver[0]; goto claim }
  :: atomic { !killed[e] && s[1] == OPEN && !s_paused[1] -> i = 1; v = ver[1]; goto claim }
  :: atomic { !killed[e] && s[2] == OPEN && !s_paused[2] -> i = 2; v = ver[2]; goto claim }
  /* a handler of mine is done */
  :: atomic { !killed[e] && (mine & 1) -> i = 0; goto outcome }
  :: atomic { !killed[e] && (mine & 2) -> i = 1; goto outcome }
  :: atomic { !killed[e] && (mine & 4) -> i = 2; goto outcome }
  /* a ticket: somebody should look at the holder */
  :: atomic { !killed[e] && tk > tk_taken -> tk_taken++; took = 1; goto fold }
#if TICKET == 1
  :: atomic { !killed[e] && (rt & ~rt_taken) ->
       x = 0;
       do
       :: x < R && ((rt & ~rt_taken) & (1 << x)) -> took_rt = 1 << x; break
       :: x < R && ((rt & ~rt_taken) >> (x + 1)) -> x++
       :: x < R && !((rt & ~rt_taken) & (1 << x)) && !((rt & ~rt_taken) >> (x + 1)) -> x = 0
       od;
       rt_taken = rt_taken | took_rt; goto fold }
#endif
#if NEWS
  :: atomic { !killed[e] && told[e] && !news ->
       told[e] = 0;
       if
       :: mem[e] != NOTHING -> for (x : 0 .. R-1) { if :: inbox[x] > 0 -> news = news | (1 << x) :: else fi }
       :: else
       fi;
       goto idle }
  :: atomic { !killed[e] && news -> goto hear }
#endif
#if RESCUE
  :: atomic { !killed[e] && s[0] == RUN && deadtok[own[0]] && !s_lock[0] -> s[0] = OPEN; own[0] = 0; ver[0]++; goto idle }
  :: atomic { !killed[e] && s[1] == RUN && deadtok[own[1]] && !s_lock[1] -> s[1] = OPEN; own[1] = 0; ver[1]++; goto idle }
  :: atomic { !killed[e] && s[2] == RUN && deadtok[own[2]] && !s_lock[2] -> s[2] = OPEN; own[2] = 0; ver[2]++; goto idle }
#endif
#if PULSE
  :: atomic { !killed[e] && tk == 0 && rt == 0 && tk_ins == 0 && h_lock == 0 &&
       (inbox[0]||inbox[1]||inbox[2]||inbox[3]||inbox[4]||inbox[5]||
        (!FINAL(h) && !paused && !stopping && h_open < CONC && (s[0]==NONE||s[1]==NONE||s[2]==NONE)))
       -> tk = 1; goto idle }
#endif
  fi;

claim:   /* one row, one guard */
  atomic {
    MAYDIE;
    s_lock[i] == 0;
    if
    :: s[i] == OPEN && ver[i] == v ->
       assert(!paused && !FINAL(h));
       if
       :: true -> s[i] = RUN; own[i] = me; ver[i]++; mine = mine | (1 << i); mv[i] = ver[i]
       :: lost > 0 -> lost--; s[i] = RUN; own[i] = me; ver[i]++; goto orphan   /* committed, not heard of */
       fi
    :: else
    fi;
    goto idle
  }
orphan:  /* the locked way loads a claim that nobody here knows of, and gives it back */
  atomic {
    MAYDIE;
    s_lock[i] == 0;
    if :: s[i] == RUN && own[i] == me -> s[i] = OPEN; own[i] = 0; ver[i]++ :: else fi;
    goto idle
  }

outcome: /* well or badly; the holder's part along in this commit, or by an inbox row */
  atomic {
    if
    :: true
#if CTRL >= 4
    :: fails > 0 -> fails--; bad = 1
#endif
    fi;
    if :: mem[e] != NOTHING -> along = 1 :: true fi;
  }
again:
  if :: along -> goto both :: else fi;

  /* -- by inbox -- */
  atomic { MAYDIE; s_lock[i] == 0 -> s_lock[i] = T }
  atomic {
    if
    :: GUARD
    :: else -> unlock_all(); mine = mine & ~(1 << i); mv[i] = 0; goto idle      /* late */
    fi
  }
  atomic { MAYDIE;
#if TICKET == 0
    (tk_ins == 0 && tk_taken == 0);
    if :: tk == 0 -> tk_ins = T; ins = 1 :: else fi
#elif TICKET == 1
    ins = 1
#elif TICKET == 2
    (tk_ins == 0 && tk_taken == 0);
    if :: tk == 0 -> tk_ins = T; ins = 1 :: else -> tk_taken++; took = 1 fi
#endif
  }
  atomic { MAYDIE;
    if
    :: true
    :: lost > 0 -> lost--; late = 1                      /* committed; the answer is lost */
    :: lost > 0 -> lost--; unlock_all(); ins = 0; goto again        /* not committed; the answer is lost */
    fi;
    assert(!FINAL(h) && s[i] == RUN);
    if :: bad -> s[i] = FAIL :: else -> s[i] = DONE fi;
    own[i] = 0; ver[i]++;
    assert(inbox[s_run[i] * N + i] == 0);
    inbox[s_run[i] * N + i] = 1 + bad;
#if TICKET == 1
    rt = rt | (1 << (s_run[i] * N + i));
#if NEWS
    if :: mem[1-e] != NOTHING -> told[1-e] = 1 :: true fi;
    if :: mem[e] != NOTHING -> told[e] = 1 :: true fi;
#endif
#else
    if :: ins -> tk++ :: else fi;
#endif
    unlock_all(); ins = 0;
    if :: late -> late = 0; goto again :: else -> mine = mine & ~(1 << i); mv[i] = 0; goto idle fi
  }

both:    /* -- scope and holder in one commit: locks in their order: the holder's view, then scopes -- */
  atomic { MAYDIE; h_lock == 0 -> h_lock = T }
  atomic { MAYDIE;
    if
    :: !locked && mem[e] != CURRENT -> unlock_all(); mem[e] = NOTHING; locked = 1; goto both   /* lost its guard */
    :: !locked && mem[e] == STALE ->             /* for the old copy the end is late: it writes nothing that has a guard */
       unlock_all(); mem[e] = NOTHING; along = 0;
#if KEEP
       goto again
#else
       goto alone
#endif
    :: !locked && mem[e] == CURRENT -> wide = bad
    :: locked -> read_inbox(); wide = wide | bad
    fi
  }
  atomic { MAYDIE; (!wide && i != 0) || s_lock[0] == 0; if :: wide || i == 0 -> s_lock[0] = T :: else fi }
  atomic { MAYDIE; (!wide && i != 1) || s_lock[1] == 0; if :: wide || i == 1 -> s_lock[1] = T :: else fi }
  atomic { MAYDIE; (!wide && i != 2) || s_lock[2] == 0; if :: wide || i == 2 -> s_lock[2] = T :: else fi }
  atomic { MAYDIE;
    late = !(s[i] == RUN && own[i] == me && ver[i] == mv[i]);
    if
    :: late && !locked -> unlock_all(); mem[e] = NOTHING; locked = 1; late = 0; goto both
    :: else
    fi;
    if
    :: true -> v = 0
    :: lost > 0 -> lost--; v = 1
    :: lost > 0 -> lost--; unlock_all(); mem[e] = NOTHING; locked = 1; goto both
    fi;
    fold_rows();
    if
    :: late
    :: else ->
       assert(!FINAL(h) || f);
       if :: bad -> s[i] = FAIL :: else -> s[i] = DONE fi;
       own[i] = 0; ver[i]++;
       if :: FINAL(h) :: else -> count_end(i, !bad) fi
    fi;
    settle_holder(f);
    changed_by(e); mem[e] = CURRENT;
    unlock_all(); rd = 0; f = 0; wide = 0; late = 0;
    if
    :: v == 1 -> v = 0; mem[e] = NOTHING; locked = 1; goto both
    :: else -> mine = mine & ~(1 << i); mv[i] = 0; goto idle
    fi
  }

#if !KEEP
alone:   /* the scope's part, and nothing for its holder */
  atomic { MAYDIE; s_lock[i] == 0;
    if
    :: GUARD -> if :: bad -> s[i] = FAIL :: else -> s[i] = DONE fi; own[i] = 0; ver[i]++
    :: else
    fi;
    mine = mine & ~(1 << i); mv[i] = 0;
    goto idle
  }
#endif

fold:    /* a ticket has come: the locked way */
  atomic { MAYDIE; h_lock == 0 -> h_lock = T }
#if SWEEP == 1
  atomic { MAYDIE; took = took + (tk - tk_taken); tk_taken = tk; took_rt = took_rt | (rt & ~rt_taken); rt_taken = rt }
#endif
  atomic { MAYDIE; read_inbox() }
#if SWEEP == 2
  atomic { MAYDIE; took = took + (tk - tk_taken); tk_taken = tk; took_rt = took_rt | (rt & ~rt_taken); rt_taken = rt }
#endif
  atomic { MAYDIE; !wide || s_lock[0] == 0; if :: wide -> s_lock[0] = T :: else fi }
  atomic { MAYDIE; !wide || s_lock[1] == 0; if :: wide -> s_lock[1] = T :: else fi }
  atomic { MAYDIE; !wide || s_lock[2] == 0; if :: wide -> s_lock[2] = T :: else fi }
  atomic { MAYDIE;
    if
    :: true -> v = 0
    :: lost > 0 -> lost--; v = 1
    :: lost > 0 -> lost--; unlock_all(); mem[e] = NOTHING; goto idle     /* the ticket is still there */
    fi;
    f = 0;
#if !REREAD
    if
    :: wide ->                                 /* the first decision has read them, in a transaction before */
       for (y : 0 .. R-1) {
         if :: (rd & (1 << y)) && !FINAL(h) && (y / N) == turn -> count_end((y % N), (inbox[y] == 1)) :: else fi
       }
    :: else
    fi;
#endif
    fold_rows(); settle_holder(f);
    changed_by(e);
    if :: v == 1 -> mem[e] = NOTHING :: else -> mem[e] = CURRENT fi;
    tk = tk - took; tk_taken = tk_taken - took; took = 0;
    rt = rt & ~took_rt; rt_taken = rt_taken & ~took_rt; took_rt = 0;
    unlock_all();
    goto idle
  }

#if NEWS
hear:    /* the rows that were read, decided on the view in memory: the commit has its guards, and else is decided under locks */
  atomic { MAYDIE; h_lock == 0 -> h_lock = T }
  atomic { MAYDIE;
    wide = 0; late = 0;
    for (x : 0 .. R-1) {
      if
      :: (news & (1 << x)) ->
         if :: inbox[x] == 2 || (EPOCH && (x / N) != turn) -> wide = 1 :: else fi;
         if :: inbox[x] == 0 -> late = 1 :: else fi
      :: else
      fi
    };
    if
    :: mem[e] != CURRENT || wide || FINAL(h) || (TAKEALL && late) ->
       unlock_all(); mem[e] = NOTHING; news = 0; wide = 0; late = 0; goto fold
    :: else
    fi;
    late = 0;
    if
    :: true -> v = 0
    :: lost > 0 -> lost--; v = 1
    :: lost > 0 -> lost--; unlock_all(); mem[e] = NOTHING; news = 0; goto fold
    fi;
    rd = news; f = 0;
    rt = rt & ~(news & ~rt_taken);               /* their tickets, but for one that somebody has locked */
    fold_rows(); settle_holder(f);
    changed_by(e); news = 0; rd = 0;
    if :: v == 1 -> v = 0; mem[e] = NOTHING; unlock_all(); goto fold :: else -> mem[e] = CURRENT; unlock_all(); goto idle fi
  }
#endif

broken:
  atomic { unlock_all() }
restart:
  atomic {
    killed[e] = 0; deadtok[me] = 1; gen[e]++; me = 1 + e + 2 * gen[e]; mem[e] = NOTHING;
    mine = 0; news = 0; told[e] = 0; mv[0] = 0; mv[1] = 0; mv[2] = 0;
    goto idle
  }
}

proctype Killer() {
  do
  :: atomic { kills > 0 && !killed[0] -> kills--; killed[0] = 1; deadtok[1 + 2 * gen[0]] = 1 }
  :: atomic { kills > 0 && !killed[1] -> kills--; killed[1] = 1; deadtok[2 + 2 * gen[1]] = 1 }
  :: break
  od
}
proctype Doubler() {       /* a ticket that comes twice, or that has nothing to say */
  byte n = DUPS;
  do
#if TICKET == 0 || TICKET == 2
  :: atomic { n > 0 && tk == 0 && tk_ins == 0 -> n--; tk++ }
#else
  :: atomic { n > 0 -> n--; tk++ }
#endif
  :: break
  od
}



proctype Control() {
  byte T = 3;
  byte took, took_rt;
#if CTRL == 1 || CTRL == 2
  atomic { h_lock == 0 -> h_lock = T }
  atomic { s_lock[0] == 0 -> s_lock[0] = T }
  atomic { s_lock[1] == 0 -> s_lock[1] = T }
  atomic { s_lock[2] == 0 -> s_lock[2] = T }
  atomic {
    if
    :: FINAL(h)
    :: else ->
       changed_by(2);
#if CTRL == 1
       h = CANC; finish_below();
#else
       stopping = 1;
       for (x : 0 .. N-1) {
         if :: s[x] == OPEN -> s[x] = CANC; own[x] = 0; ver[x]++; h_open-- :: else fi
       }
#if RECOUNT
       h_open = OPENNOW;
#endif
       if :: h_open == 0 -> h = CANC :: else fi
#endif
    fi;
    unlock_all()
  }
#elif CTRL == 3
  atomic { h_lock == 0 -> h_lock = T }
#if PSC
  atomic { s_lock[0] == 0 -> s_lock[0] = T }
  atomic { s_lock[1] == 0 -> s_lock[1] = T }
  atomic { s_lock[2] == 0 -> s_lock[2] = T }
#endif
  atomic {
    if
    :: FINAL(h) -> unlock_all(); goto over
    :: else -> paused = 1; changed_by(2);
#if PSC
       /* the mark changes what may be claimed; a running step's claim stays good */
       for (x : 0 .. N-1) { s_paused[x] = 1; if :: s[x] == OPEN -> ver[x]++ :: else fi }
#endif
       unlock_all()
    fi
  }
  atomic { h_lock == 0 -> h_lock = T }
#if PSC
  atomic { s_lock[0] == 0 -> s_lock[0] = T }
  atomic { s_lock[1] == 0 -> s_lock[1] = T }
  atomic { s_lock[2] == 0 -> s_lock[2] = T }
#endif
  atomic {
    paused = 0;
    for (x : 0 .. N-1) { s_paused[x] = 0 }
    if :: FINAL(h) :: else -> changed_by(2);
#if WAKE
      tk++
#endif
    fi;
    unlock_all()
  }
over: skip
#elif CTRL == 5
end_none: /* when no item fails there is nothing to try again */
  atomic { h == FAIL && h_lock == 0 -> h_lock = T }
  atomic { s_lock[0] == 0 -> s_lock[0] = T }
  atomic { s_lock[1] == 0 -> s_lock[1] = T }
  atomic { s_lock[2] == 0 -> s_lock[2] = T }
  atomic {   /* what completed is kept and counted from its rows, all else runs anew */
    assert(h == FAIL);
    h = OPEN; turn = 1; h_open = 0; h_done = 0; completions = 0;
    for (x : 0 .. N-1) {
      if
      :: s[x] == DONE -> h_done++; counted[x] = 1
      :: else -> s[x] = NONE; counted[x] = 0; ver[x]++
      fi
    }
    changed_by(2);
    open_more();
    unlock_all()
  }
#else
  skip
#endif
}

proctype Judge() {
  timeout ->
  assert(h_lock == 0 && s_lock[0] == 0 && s_lock[1] == 0 && s_lock[2] == 0);   /* nobody waits for a lock for ever */
  assert(FINAL(h));                                                            /* no lost wake-up */
  assert(OPENNOW == 0);
  assert(!inbox[0] && !inbox[1] && !inbox[2] && !inbox[3] && !inbox[4] && !inbox[5]);
  assert(tk == 0 && rt == 0);
#if CTRL == 0 || CTRL == 3 || CTRL == 5
  assert(h == DONE);
#endif
}

init {
  atomic {
    for (x : 0 .. N-1) { s[x] = NONE };
    open_more();
    mem[0] = CURRENT;   /* the engine that opened the first scopes */
    mem[1] = NOTHING;
    run Engine(0); run Engine(1); run Killer(); run Doubler(); run Control(); run Judge()
  }
}
