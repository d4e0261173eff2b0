"""Write a batch set-wise.

Why: what a batch of plain transactions and holds does is reckoned by one statement instead of a
loop, and the answer is one row of arrays. Accounts are no longer locked one by one: the row of
`books` keeps every other writer of the tenant and mode out.
Locks: none, only a function is made.
Kind: expand
"""

import runpy
from pathlib import Path
from typing import Any

from alembic import op
from billplane.chassis.migrations import worker_function

revision = "0004"
down_revision = "0003"

_ARGUMENTS = (
    "in_livemode boolean, at timestamptz, writer text, keys text[], ids text[], kinds text[],"
    " external_ids text[], fingerprints text[], currencies text[], descriptions text[],"
    " metadatas text[], parents text[], rate_ids text[], amounts bigint[], finals boolean[],"
    " expiries timestamptz[], firsts integer[], owners integer[], slots integer[],"
    " debits boolean[], posting_amounts bigint[], account_ids text[]"
)
_RETURNS = (
    "TABLE (codes text[], answer_ids text[], recorded_at timestamptz, batch_number bigint,"
    " taken bigint[], committed_after bigint[], remaining_after bigint[], posted_after bigint[],"
    " pending_in_after bigint[], pending_out_after bigint[], counts_after bigint[])"
)

_DECLARE = """
-- Writes some transactions of one tenant and mode, in order, each wholly or not at all.
--
-- Transfer n has the postings firsts[n] up to firsts[n + 1], each of which names it as its owner; a
-- posting's account is account_ids[slot]. The row of `books` is locked first and kept until the
-- transaction ends: it is what makes one writer a tenant and mode, also among processes, and the
-- next number of the chain. Nothing else changes balances, so that accounts need no lock.
DECLARE
  me constant text := tenant();
  most constant bigint := 9007199254740991;
  book books%ROWTYPE;
  hold holds%ROWTYPE;
  known integer[];
  known_ids text[];
  known_prints text[];
  places tid[];
  posted bigint[];
  pending_in bigint[];
  pending_out bigint[];
  counts bigint[];
  counts_before bigint[];
  floors bigint[];
  grow_by_debit boolean[];
  account_currencies text[];
  numbers bigint[] := '{}'; recorded bigint := 0; is_plain boolean;
  e_transfer integer[];
  e_position integer[];
  e_slot integer[];
  e_debit boolean[];
  e_phase text[];
  e_amount bigint[];
  e_number bigint[];
  e_posted bigint[];
  e_in bigint[];
  e_out bigint[];
  entries_made integer := 0;
  entries_before integer;
  outcome text; took bigint; gives_back bigint;
  at_slot integer;
  at_known integer;
  phase_now text;
  amount_now bigint;
  grows boolean;
  new_hash bytea; new_digests bytea[]; changed bigint;
"""

_READ = """
BEGIN
  -- A process that hangs with the lock loses it; one that waits for it does not wait for ever.
  -- Plans are made once for a connection, which keeps them while tables grow: none may rest on how
  -- small they were.
  PERFORM set_config('idle_in_transaction_session_timeout', '10s', true),
    set_config('lock_timeout', '10s', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true);
  SELECT * INTO book FROM books b WHERE b.tenant_id = me AND b.livemode = in_livemode FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO books VALUES (me, in_livemode, 0, 0, sha256(''), at) ON CONFLICT DO NOTHING;
    SELECT * INTO book FROM books b WHERE b.tenant_id = me AND b.livemode = in_livemode FOR UPDATE;
  END IF;
  book.recorded_at := greatest(book.recorded_at, at);
  recorded_at := book.recorded_at;
  codes := array_fill('RECORDED'::text, ARRAY[cardinality(ids)]);
  answer_ids := ids;
  taken := array_fill(0::bigint, ARRAY[cardinality(ids)]);
  committed_after := taken; remaining_after := taken;

  -- What has its answer, by its key or by its external_id, does nothing.
  SELECT array_agg(f.n), array_agg(f.id), array_agg(f.fingerprint)
    INTO known, known_ids, known_prints FROM (
      SELECT u.n, ''::text AS id, ''::text AS fingerprint
      FROM unnest(keys) WITH ORDINALITY AS u (key, n)
      JOIN idempotency i ON i.tenant_id = me AND i.livemode = in_livemode AND i.key = u.key
      WHERE u.key <> ''
      UNION ALL
      SELECT u.n, t.id, t.fingerprint
      FROM unnest(external_ids) WITH ORDINALITY AS u (external_id, n)
      JOIN transactions t ON t.tenant_id = me AND t.livemode = in_livemode
        AND t.external_id = u.external_id AND t.external_id <> ''
      WHERE u.external_id <> '' AND keys[u.n] <> ALL (SELECT i.key FROM idempotency i
        WHERE i.tenant_id = me AND i.livemode = in_livemode AND i.key = ANY (keys))) f;
  FOR i IN 1 .. coalesce(cardinality(known), 0) LOOP
    codes[known[i]] := CASE WHEN known_ids[i] = '' THEN 'REPLAYED'
      WHEN known_prints[i] = fingerprints[known[i]] THEN 'KNOWN' ELSE 'EXTERNAL_ID_REUSED' END;
    IF known_ids[i] <> '' THEN
      answer_ids[known[i]] := known_ids[i];
    END IF;
  END LOOP;

  SELECT array_agg(a.place), array_agg(a.posted_minor), array_agg(a.pending_in_minor),
      array_agg(a.pending_out_minor), array_agg(a.entry_count), array_agg(a.floor_minor),
      array_agg(a.grow_by_debit), array_agg(a.currency_code::text)
    INTO places, posted, pending_in, pending_out, counts, floors, grow_by_debit,
      account_currencies
    FROM (SELECT s.ctid AS place, s.posted_minor, s.pending_in_minor, s.pending_out_minor,
        s.entry_count, s.currency_code, s.type IN ('asset', 'expense') AS grow_by_debit,
        CASE WHEN s.allow_negative AND s.credit_limit_minor IS NULL THEN NULL
          ELSE -coalesce(s.credit_limit_minor, 0) END AS floor_minor
      FROM accounts s
      WHERE s.tenant_id = me AND s.livemode = in_livemode AND s.id = ANY (account_ids)
      ORDER BY s.id COLLATE "C") a;
  IF coalesce(cardinality(posted), 0) <> cardinality(account_ids) THEN
    RAISE EXCEPTION 'an account of the batch is not there' USING ERRCODE = 'no_data_found';
  END IF;
  counts_before := counts;
"""

# Running balances by one statement. An account that would fall too low, if only for a moment within
# a transaction, sends the batch to the loop, which knows which of them is to be refused.
_SET_WISE = """
  is_plain := known IS NULL AND kinds <@ ARRAY['record', 'hold']
    AND (SELECT sum(a) FROM unnest(posting_amounts) a) <= most * 512;
  IF is_plain THEN
    SELECT array_agg(w.owner), array_agg(w.position), array_agg(w.slot), array_agg(w.debit),
        array_agg(w.phase), array_agg(w.amount), array_agg(w.entry_number),
        array_agg(w.posted_now), array_agg(w.in_now), array_agg(w.out_now),
        bool_and(coalesce(w.posted_now - w.out_now >= w.floor_minor, true)
          AND greatest(abs(w.posted_now), w.in_now, w.out_now) <= most)
      INTO e_transfer, e_position, e_slot, e_debit, e_phase, e_amount, e_number, e_posted, e_in,
        e_out, is_plain
      FROM (
        SELECT m.ordinal, m.owner, (m.ordinal - firsts[m.owner] + 1)::integer AS position, m.slot,
          m.debit, CASE WHEN m.pending THEN 'pending' ELSE 'posted' END AS phase, m.amount,
          floors[m.slot] AS floor_minor,
          counts[m.slot] + row_number() OVER running AS entry_number,
          posted[m.slot] + (sum(CASE WHEN m.pending THEN 0 WHEN m.grows THEN m.amount
            ELSE -m.amount END) OVER running)::bigint AS posted_now,
          pending_in[m.slot] + (sum(CASE WHEN m.pending AND m.grows THEN m.amount
            ELSE 0 END) OVER running)::bigint AS in_now,
          pending_out[m.slot] + (sum(CASE WHEN m.pending AND NOT m.grows THEN m.amount
            ELSE 0 END) OVER running)::bigint AS out_now
        FROM (SELECT u.*, kinds[u.owner] = 'hold' AS pending,
            u.debit = grow_by_debit[u.slot] AS grows
          FROM unnest(owners, slots, debits, posting_amounts)
            WITH ORDINALITY AS u (owner, slot, debit, amount, ordinal)) m
        WINDOW running AS (PARTITION BY m.slot ORDER BY m.ordinal)
        ORDER BY m.ordinal) w;
  END IF;
  IF is_plain THEN
    recorded := cardinality(ids);
    entries_made := cardinality(slots);
    numbers := ARRAY(SELECT book.transaction_number + n FROM generate_series(1, recorded) n);
    posted_after := e_posted;
    pending_in_after := e_in;
    pending_out_after := e_out;
    counts_after := e_number;
    FOR p IN 1 .. entries_made LOOP
      posted[slots[p]] := e_posted[p];
      pending_in[slots[p]] := e_in[p];
      pending_out[slots[p]] := e_out[p];
      counts[slots[p]] := e_number[p];
    END LOOP;
  ELSE
    e_transfer := '{}'; e_position := '{}'; e_slot := '{}'; e_debit := '{}'; e_phase := '{}';
    e_amount := '{}'; e_number := '{}'; e_posted := '{}'; e_in := '{}'; e_out := '{}';
    posted_after := array_fill(0::bigint, ARRAY[cardinality(slots)]);
    pending_in_after := posted_after;
    pending_out_after := posted_after;
    counts_after := posted_after;
  END IF;
"""

_ONE_BY_ONE = """
  FOR n IN 1 .. CASE WHEN is_plain THEN 0 ELSE cardinality(ids) END LOOP
    outcome := codes[n];
    took := 0;
    gives_back := 0;
    hold := NULL;
    IF outcome = 'RECORDED' AND kinds[n] IN ('commit', 'release', 'expire') THEN
      SELECT * INTO hold FROM holds h WHERE h.tenant_id = me AND h.livemode = in_livemode
        AND h.transaction_id = parents[n];
      took := CASE WHEN kinds[n] <> 'commit' THEN 0
        WHEN amounts[n] = 0 THEN hold.remaining_minor ELSE amounts[n] END;
      gives_back := CASE WHEN kinds[n] = 'commit' AND NOT finals[n] THEN took
        ELSE hold.remaining_minor END;
      outcome := CASE
        WHEN hold.state IS DISTINCT FROM 'pending' THEN 'HOLD_CLOSED'
        WHEN kinds[n] = 'commit' AND hold.expires_at <= book.recorded_at THEN 'HOLD_EXPIRED'
        WHEN kinds[n] = 'expire' AND (hold.expires_at > book.recorded_at) IS NOT FALSE
          THEN 'HOLD_NOT_DUE'
        WHEN took > hold.remaining_minor THEN 'HOLD_EXCEEDED'
        WHEN kinds[n] = 'commit' AND NOT hold.divisible AND took <> hold.remaining_minor
          THEN 'HOLD_INDIVISIBLE'
        ELSE 'RECORDED' END;
    ELSIF outcome = 'RECORDED' AND kinds[n] = 'reverse' THEN
      -- A condition that reads a table is run as a statement, so it stands where it is needed.
      IF EXISTS (SELECT FROM transactions t WHERE t.tenant_id = me AND t.parent_id = parents[n]
          AND t.kind = 'reverse') THEN
        outcome := 'ALREADY_REVERSED';
      END IF;
    END IF;

    entries_before := entries_made;
    IF outcome = 'RECORDED' THEN
      FOR p IN firsts[n] .. firsts[n + 1] - 1 LOOP
        at_slot := slots[p];
        grows := debits[p] = grow_by_debit[at_slot];
        phase_now := CASE kinds[n] WHEN 'hold' THEN 'pending' WHEN 'release' THEN 'released'
          WHEN 'expire' THEN 'released' ELSE 'posted' END;
        LOOP
          amount_now := CASE WHEN hold.divisible IS NOT TRUE THEN posting_amounts[p]
            WHEN phase_now = 'posted' THEN took ELSE gives_back END;
          IF phase_now = 'posted' THEN
            posted[at_slot] := posted[at_slot] + CASE WHEN grows THEN amount_now
              ELSE -amount_now END;
          ELSIF grows THEN
            pending_in[at_slot] := pending_in[at_slot] + CASE WHEN phase_now = 'pending'
              THEN amount_now ELSE -amount_now END;
          ELSE
            pending_out[at_slot] := pending_out[at_slot] + CASE WHEN phase_now = 'pending'
              THEN amount_now ELSE -amount_now END;
          END IF;
          counts[at_slot] := counts[at_slot] + 1;
          entries_made := entries_made + 1;
          e_transfer[entries_made] := n;
          e_position[entries_made] := entries_made - entries_before;
          e_slot[entries_made] := at_slot;
          e_debit[entries_made] := debits[p];
          e_phase[entries_made] := phase_now;
          e_amount[entries_made] := amount_now;
          e_number[entries_made] := counts[at_slot];
          e_posted[entries_made] := posted[at_slot];
          e_in[entries_made] := pending_in[at_slot];
          e_out[entries_made] := pending_out[at_slot];
          EXIT WHEN kinds[n] <> 'commit' OR phase_now = 'released';
          phase_now := 'released';
        END LOOP;
      END LOOP;
      FOR p IN firsts[n] .. firsts[n + 1] - 1 LOOP
        at_slot := slots[p];
        IF posted[at_slot] - pending_out[at_slot] < floors[at_slot] THEN
          outcome := 'INSUFFICIENT_FUNDS';
          answer_ids[n] := account_ids[at_slot];
          EXIT;
        ELSIF greatest(abs(posted[at_slot]), pending_in[at_slot], pending_out[at_slot]) > most THEN
          outcome := 'BALANCE_OUT_OF_RANGE';
          answer_ids[n] := account_ids[at_slot];
          EXIT;
        END IF;
      END LOOP;
      IF outcome <> 'RECORDED' THEN
        WHILE entries_made > entries_before LOOP
          at_slot := e_slot[entries_made];
          grows := e_debit[entries_made] = grow_by_debit[at_slot];
          amount_now := e_amount[entries_made];
          IF e_phase[entries_made] = 'posted' THEN
            posted[at_slot] := posted[at_slot] - CASE WHEN grows THEN amount_now
              ELSE -amount_now END;
          ELSIF grows THEN
            pending_in[at_slot] := pending_in[at_slot] - CASE WHEN e_phase[entries_made] = 'pending'
              THEN amount_now ELSE -amount_now END;
          ELSE
            pending_out[at_slot] := pending_out[at_slot] - CASE
              WHEN e_phase[entries_made] = 'pending' THEN amount_now ELSE -amount_now END;
          END IF;
          counts[at_slot] := counts[at_slot] - 1;
          entries_made := entries_made - 1;
        END LOOP;
      END IF;
    END IF;

    codes[n] := outcome;
    numbers[n] := NULL;
    CONTINUE WHEN outcome <> 'RECORDED';
    recorded := recorded + 1;
    numbers[n] := book.transaction_number + recorded;
    taken[n] := CASE WHEN kinds[n] = 'commit' THEN took ELSE gives_back END;
    committed_after[n] := hold.committed_minor + took;
    remaining_after[n] := hold.remaining_minor - gives_back;
    IF hold.transaction_id IS NOT NULL THEN
      UPDATE holds h SET committed_minor = h.committed_minor + took,
        remaining_minor = h.remaining_minor - gives_back,
        state = CASE WHEN h.remaining_minor > gives_back THEN 'pending'
          WHEN kinds[n] = 'commit' THEN 'posted' WHEN kinds[n] = 'release' THEN 'voided'
          ELSE 'expired' END,
        closed_at = CASE WHEN h.remaining_minor = gives_back THEN book.recorded_at END
        WHERE h.tenant_id = me AND h.transaction_id = parents[n];
    END IF;
    FOR p IN firsts[n] .. firsts[n + 1] - 1 LOOP
      posted_after[p] := posted[slots[p]];
      pending_in_after[p] := pending_in[slots[p]];
      pending_out_after[p] := pending_out[slots[p]];
      counts_after[p] := counts[slots[p]];
    END LOOP;
  END LOOP;
"""

_STORE = """
  batch_number := book.batch_number;
  IF recorded = 0 THEN
    RETURN NEXT;
    RETURN;
  END IF;
  batch_number := book.batch_number + 1;
  INSERT INTO transactions (tenant_id, id, livemode, number, kind, parent_id, currency_code,
      external_id, fingerprint, description, metadata, rate_id, recorded_at, expires_at)
    SELECT me, u.id, in_livemode, u.number, u.kind, u.parent_id, u.currency_code, u.external_id,
      u.fingerprint, u.description, u.metadata::jsonb, u.rate_id, book.recorded_at, u.expires_at
    FROM unnest(ids, numbers, kinds, parents, currencies, external_ids, fingerprints,
      descriptions, metadatas, rate_ids, expiries) AS u (id, number, kind, parent_id,
      currency_code, external_id, fingerprint, description, metadata, rate_id, expires_at)
    WHERE u.number IS NOT NULL;
  INSERT INTO entries (tenant_id, transaction_id, position, livemode, account_id, direction, phase,
      amount_minor, currency_code, number, posted_after_minor, pending_in_after_minor,
      pending_out_after_minor, recorded_at)
    SELECT me, ids[u.transfer], u.position, in_livemode, account_ids[u.slot],
      CASE WHEN u.debit THEN 'debit' ELSE 'credit' END, u.phase, u.amount,
      account_currencies[u.slot], u.number, u.posted, u.pending_in, u.pending_out,
      book.recorded_at
    FROM unnest(e_transfer, e_position, e_slot, e_debit, e_phase, e_amount, e_number, e_posted,
      e_in, e_out) WITH ORDINALITY AS u (transfer, position, slot, debit, phase, amount, number,
      posted, pending_in, pending_out, ordinal)
    WHERE u.ordinal <= entries_made;
  IF 'hold' = ANY (kinds) THEN
    INSERT INTO holds (tenant_id, transaction_id, livemode, state, divisible, amount_minor,
        committed_minor, remaining_minor, expires_at)
      SELECT me, u.id, in_livemode, 'pending', u.divisible, u.amount, 0, u.amount, u.expires_at
      FROM unnest(ids, numbers, kinds, finals, amounts, expiries)
        AS u (id, number, kind, divisible, amount, expires_at)
      WHERE u.number IS NOT NULL AND u.kind = 'hold';
  END IF;
  -- By place, which is quicker to find again than the name; nobody moved them, see above.
  UPDATE accounts a SET posted_minor = u.posted, pending_in_minor = u.pending_in,
      pending_out_minor = u.pending_out, entry_count = u.entries
    FROM unnest(places, account_ids, posted, pending_in, pending_out, counts, counts_before)
      AS u (place, id, posted, pending_in, pending_out, entries, entries_before)
    WHERE a.ctid = u.place AND a.tenant_id = me AND a.id = u.id AND u.entries <> u.entries_before;
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed <> (SELECT count(*) FROM unnest(counts, counts_before) AS u (entries, entries_before)
      WHERE u.entries <> u.entries_before) THEN
    RAISE EXCEPTION 'an account of the batch was changed by somebody else'
      USING ERRCODE = 'serialization_failure';
  END IF;

  SELECT array_agg(d.digest ORDER BY d.number) INTO new_digests FROM transaction_digests d
    WHERE d.tenant_id = me AND d.livemode = in_livemode
      AND d.number > book.transaction_number
      AND d.number <= book.transaction_number + recorded;
  SELECT sha256(book.hash || string_agg(u.digest, ''::bytea ORDER BY u.ordinal)) INTO new_hash
    FROM unnest(new_digests) WITH ORDINALITY AS u (digest, ordinal);
  INSERT INTO batches VALUES (me, in_livemode, book.batch_number + 1, book.transaction_number + 1,
    book.transaction_number + recorded, new_digests, book.hash, new_hash, writer,
    book.recorded_at);
  UPDATE books b SET batch_number = b.batch_number + 1,
      transaction_number = b.transaction_number + recorded, hash = new_hash,
      recorded_at = book.recorded_at
    WHERE b.tenant_id = me AND b.livemode = in_livemode;
  RETURN NEXT;
END
"""


def upgrade() -> None:
    _before()["downgrade"]()
    body = _DECLARE + _READ + _SET_WISE + _ONE_BY_ONE + _STORE
    worker_function("ledger", "apply_batch", _ARGUMENTS, _RETURNS, body)


def downgrade() -> None:
    types = ", ".join(part.split(None, 1)[1] for part in _ARGUMENTS.split(","))
    op.execute(f"DROP FUNCTION ledger.apply_batch({types})")
    _before()["upgrade"]()


def _before() -> dict[str, Any]:
    """Load the revision whose function this one replaces."""
    return runpy.run_path(str(Path(__file__).with_name("0002_apply_batch.py")))
