-- deleted
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;

-- not found
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;

-- still a host
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."id" = $1;
