"""Create the function that writes a batch of transactions.

Why: whatever waits is written by one statement and one commit, and one transfer that is refused
leaves the others alone. It is the only way in which money moves.
Locks: none, only a function is made.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import worker_function

revision = "0002"
down_revision = "0001"

_ARGUMENTS = (
    "in_livemode boolean, at timestamptz, writer text, keys text[], ids text[], kinds text[],"
    " external_ids text[], fingerprints text[], currencies text[], descriptions text[],"
    " metadatas text[], parents text[], rate_ids text[], amounts bigint[], finals boolean[],"
    " expiries timestamptz[], firsts integer[], slots integer[], debits boolean[],"
    " posting_amounts bigint[], account_ids text[]"
)
_RETURNS = "TABLE (code text, id text, recorded_at timestamptz, balances bigint[])"

_APPLY = """
-- Writes some transactions of one tenant and mode, in order, each wholly or not at all.
--
-- Transfer n has the postings firsts[n] up to firsts[n + 1]; a posting's account is
-- account_ids[slot]. The row of `books` is locked first and kept until the transaction ends: it is
-- what makes one writer a tenant and mode, also among processes, and the next number of the chain.
DECLARE
  me constant text := tenant();
  most constant bigint := 9007199254740991;
  book books%ROWTYPE;
  hold holds%ROWTYPE;
  replayed text[];
  posted bigint[];
  pending_in bigint[];
  pending_out bigint[];
  counts bigint[];
  floors bigint[];
  grow_by_debit boolean[];
  account_currencies text[];
  codes text[] := '{}';
  answer_ids text[] := '{}';
  numbers bigint[] := '{}';
  recorded bigint := 0;
  e_transfer integer[] := '{}';
  e_position integer[] := '{}';
  e_slot integer[] := '{}';
  e_debit boolean[] := '{}';
  e_phase text[] := '{}';
  e_amount bigint[] := '{}';
  e_number bigint[] := '{}';
  e_posted bigint[] := '{}';
  e_in bigint[] := '{}';
  e_out bigint[] := '{}';
  entries_made integer := 0;
  entries_before integer;
  after_transfer bigint[] := '{}';
  found_id text;
  found_fingerprint text;
  outcome text;
  took bigint;
  gives_back bigint;
  at_slot integer;
  phase_now text;
  amount_now bigint;
  grows boolean;
  new_hash bytea;
  new_digests bytea[];
BEGIN
  -- A process that hangs with the lock loses it; one that waits for it does not wait for ever.
  PERFORM set_config('idle_in_transaction_session_timeout', '10s', true),
    set_config('lock_timeout', '10s', true);
  SELECT * INTO book FROM books b WHERE b.tenant_id = me AND b.livemode = in_livemode FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO books VALUES (me, in_livemode, 0, 0, sha256(''), at) ON CONFLICT DO NOTHING;
    SELECT * INTO book FROM books b WHERE b.tenant_id = me AND b.livemode = in_livemode FOR UPDATE;
  END IF;
  book.recorded_at := greatest(book.recorded_at, at);
  replayed := ARRAY(SELECT i.key FROM idempotency i
    WHERE i.tenant_id = me AND i.livemode = in_livemode AND i.key = ANY (keys));
  SELECT array_agg(a.posted_minor), array_agg(a.pending_in_minor), array_agg(a.pending_out_minor),
      array_agg(a.entry_count), array_agg(a.floor_minor), array_agg(a.grow_by_debit),
      array_agg(a.currency_code::text)
    INTO posted, pending_in, pending_out, counts, floors, grow_by_debit, account_currencies
    FROM (SELECT s.*, s.type IN ('asset', 'expense') AS grow_by_debit,
        CASE WHEN s.allow_negative AND s.credit_limit_minor IS NULL THEN NULL
          ELSE -coalesce(s.credit_limit_minor, 0) END AS floor_minor
      FROM accounts s
      WHERE s.tenant_id = me AND s.livemode = in_livemode AND s.id = ANY (account_ids)
      ORDER BY s.id COLLATE "C" FOR UPDATE) a;
  IF coalesce(cardinality(posted), 0) <> cardinality(account_ids) THEN
    RAISE EXCEPTION 'an account of the batch is not there' USING ERRCODE = 'no_data_found';
  END IF;

  FOR n IN 1 .. cardinality(ids) LOOP
    outcome := 'RECORDED';
    answer_ids[n] := ids[n];
    took := 0;
    gives_back := 0;
    hold := NULL;
    IF keys[n] = ANY (replayed) THEN
      outcome := 'REPLAYED';
    ELSIF external_ids[n] <> '' THEN
      SELECT t.id, t.fingerprint INTO found_id, found_fingerprint FROM transactions t
        WHERE t.tenant_id = me AND t.livemode = in_livemode AND t.external_id = external_ids[n];
      IF FOUND THEN
        outcome := CASE WHEN found_fingerprint = fingerprints[n] THEN 'KNOWN'
          ELSE 'EXTERNAL_ID_REUSED' END;
        answer_ids[n] := found_id;
      END IF;
    END IF;
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
    IF outcome = 'RECORDED' THEN
      recorded := recorded + 1;
      numbers[n] := book.transaction_number + recorded;
      IF hold.transaction_id IS NOT NULL THEN
        UPDATE holds h SET committed_minor = h.committed_minor + took,
          remaining_minor = h.remaining_minor - gives_back,
          state = CASE WHEN h.remaining_minor > gives_back THEN 'pending'
            WHEN kinds[n] = 'commit' THEN 'posted' WHEN kinds[n] = 'release' THEN 'voided'
            ELSE 'expired' END,
          closed_at = CASE WHEN h.remaining_minor = gives_back THEN book.recorded_at END
          WHERE h.tenant_id = me AND h.transaction_id = parents[n];
      END IF;
    END IF;
    code := outcome;
    id := answer_ids[n];
    recorded_at := book.recorded_at;
    after_transfer := '{}';
    IF outcome = 'RECORDED' THEN
      FOR p IN firsts[n] .. firsts[n + 1] - 1 LOOP
        at_slot := slots[p];
        after_transfer := after_transfer || ARRAY[posted[at_slot], pending_in[at_slot],
          pending_out[at_slot], counts[at_slot]];
      END LOOP;
    END IF;
    balances := after_transfer;
    RETURN NEXT;
  END LOOP;
  IF recorded = 0 THEN
    RETURN;
  END IF;

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
  INSERT INTO holds (tenant_id, transaction_id, livemode, state, divisible, amount_minor,
      committed_minor, remaining_minor, expires_at)
    SELECT me, u.id, in_livemode, 'pending', u.divisible, u.amount, 0, u.amount, u.expires_at
    FROM unnest(ids, numbers, kinds, finals, amounts, expiries)
      AS u (id, number, kind, divisible, amount, expires_at)
    WHERE u.number IS NOT NULL AND u.kind = 'hold';
  UPDATE accounts a SET posted_minor = u.posted, pending_in_minor = u.pending_in,
      pending_out_minor = u.pending_out, entry_count = u.entries
    FROM unnest(account_ids, posted, pending_in, pending_out, counts)
      AS u (id, posted, pending_in, pending_out, entries)
    WHERE a.tenant_id = me AND a.id = u.id AND a.entry_count <> u.entries;

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
END
"""


def upgrade() -> None:
    worker_function("ledger", "apply_batch", _ARGUMENTS, _RETURNS, _APPLY)


def downgrade() -> None:
    types = ", ".join(part.split(None, 1)[1] for part in _ARGUMENTS.split(","))
    op.execute(f"DROP FUNCTION ledger.apply_batch({types})")
