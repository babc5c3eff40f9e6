/*
 * The scopes of a step are undone: N of them are over, C at a time become compensating, from the last one down. Each gets a
 * ticket. Whoever takes it claims the compensation; its end goes along with the step's view, if the engine has it in memory, or
 * is a row in its inbox. Two engines, the death of one, and a cancel at any moment.
 *
 * TICKET  0 a scope that becomes compensating gets no ticket        1 it gets one in the same commit
 * GUARD   0 a view in memory is written whatever others have done   1 the commit fails when the row's sequence is another
 * BELOW   0 a cancel ends the step's view alone                     1 and the scopes that are being undone
 * KILLS   1 an engine dies at any moment                            0 none does
 * RESCUE  0 nobody takes back what a dead engine had claimed        1 another one does
 * CTRL    1 a cancel                                                0 none
 */
#ifndef TICKET
#define TICKET 1
#endif
#ifndef GUARD
#define GUARD 1
#endif
#ifndef BELOW
#define BELOW 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef RESCUE
#define RESCUE 1
#endif
#ifndef CTRL
#define CTRL 0
#endif
#define N 3
#define C 2

/* Rows. A scope is over (0), compensating (1), or over again (2). */
byte st[N], claim[N], ended[N], ticket[N];
byte next = N, open, seq, inbox, hticket;
bool final, undone;
/* Locks: 0 free. */
byte hlock, slock[N];
bool dead[3];
byte deaths;

/* The step's row as of now, and its next scopes. */
inline go_on(count) {
  open = open - count;
  do
  :: next > 0 && open < C ->
     next--;
     assert(st[next] == 0);
     st[next] = 1; open++;
     if :: TICKET -> ticket[next]++ :: else fi
  :: else -> break
  od;
  assert(open <= C);
  seq++;
  if :: next == 0 && open == 0 -> undone = true :: else fi
}

inline perhaps_die() {
  if
  :: atomic { KILLS && deaths == 0 -> deaths++; dead[me] = true }; goto over
  :: true
  fi
}

proctype Engine(byte me) {
  byte i, s, n, mnext, mopen, mseq, token;
  bool knows;
end_idle:
  do
  :: atomic { hticket > 0 && hlock == 0 -> hlock = me };
     n = inbox;                                            /* the inbox is read under the lock */
     perhaps_die();
     atomic {
       if
       :: hticket > 0 ->
          hticket--;
          if
          :: final -> inbox = inbox - n
          :: else -> inbox = inbox - n; go_on(n); mnext = next; mopen = open; mseq = seq; knows = true
          fi
       :: else
       fi;
       hlock = 0; n = 0
     }
  :: atomic {
       if
       :: ticket[0] > 0 && slock[0] == 0 -> i = 0
       :: ticket[1] > 0 && slock[1] == 0 -> i = 1
       :: ticket[2] > 0 && slock[2] == 0 -> i = 2
       fi;
       slock[i] = me
     };
     perhaps_die();
     atomic {                                              /* the claim uses the ticket */
       ticket[i]--;
       token = 0;
       if :: st[i] == 1 && claim[i] == 0 -> claim[i] = me; token = me :: else fi;
       slock[i] = 0
     };
     if
     :: token == 0
     :: else ->
        perhaps_die();                                     /* the handler runs */
        if
        :: knows && !final ->                              /* the end goes along: locks by depth, the step's view first */
           atomic { hlock == 0 -> hlock = me };
           atomic { slock[i] == 0 -> slock[i] = me };
           atomic {
             if
             :: st[i] == 1 && claim[i] == me && (mseq == seq || !GUARD) ->
                assert(!final);
                st[i] = 2; ended[i]++; claim[i] = 0;
                if :: !GUARD -> next = mnext; open = mopen :: else fi;
                go_on(1); mnext = next; mopen = open; mseq = seq; token = 0
             :: else
             fi;
             slock[i] = 0; hlock = 0; knows = (token == 0)
           }
        :: true
        fi;
        if
        :: token == 0
        :: else ->
           atomic { slock[i] == 0 -> slock[i] = me };
           atomic {
             if
             :: st[i] == 1 && claim[i] == me ->
                assert(!final);
                st[i] = 2; ended[i]++; claim[i] = 0; inbox++; hticket++
             :: else                                       /* late */
             fi;
             slock[i] = 0
           }
        fi
     fi;
     token = 0; i = 0
  od;
over:
  atomic {                                                 /* its transaction is rolled back */
    if :: hlock == me -> hlock = 0 :: else fi;
    s = 0;
    do
    :: s < N -> if :: slock[s] == me -> slock[s] = 0 :: else fi; s++
    :: else -> break
    od
  }
}

/* Gives back what a dead engine had claimed. */
proctype Rescue() {
  byte i;
end_idle:
  do
  :: atomic { RESCUE && claim[0] != 0 && dead[claim[0]] -> claim[0] = 0; ticket[0]++ }
  :: atomic { RESCUE && claim[1] != 0 && dead[claim[1]] -> claim[1] = 0; ticket[1]++ }
  :: atomic { RESCUE && claim[2] != 0 && dead[claim[2]] -> claim[2] = 0; ticket[2]++ }
  od
}

proctype Cancel() {
  byte i;
  atomic { hlock == 0 -> hlock = 4 };
  if
  :: undone -> atomic { hlock = 0 }
  :: else ->
     i = 0;
     do
     :: BELOW && i < N ->
        if :: st[i] == 1 -> atomic { slock[i] == 0 -> slock[i] = 4 } :: else fi;
        i++
     :: else -> break
     od;
     atomic {
       final = true; open = 0; inbox = 0; seq++;
       i = 0;
       do
       :: i < N ->
          if :: slock[i] == 4 -> slock[i] = 0; if :: st[i] == 1 -> st[i] = 2; claim[i] = 0 :: else fi :: else fi;
          i++
       :: else -> break
       od;
       hlock = 0
     }
  fi
}

proctype Judge() {
  byte i;
  timeout ->
  assert(final || undone);
  assert(open == 0 && inbox == 0 && hticket == 0);
  do
  :: i < N ->
     assert(st[i] != 1 && slock[i] == 0);
     assert(ended[i] <= 1);
     if :: undone -> assert(ended[i] == 1) :: else fi;
     i++
  :: else -> break
  od;
  assert(hlock == 0)
}

init {
  atomic {
    go_on(0);
    run Engine(1); run Engine(2); run Rescue(); run Judge();
#if CTRL
    run Cancel()
#endif
  }
}
