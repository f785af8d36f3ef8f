-- deleted
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;

-- not found
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;

-- still a host
WITH guest AS (DELETE FROM "guests" WHERE "user_id" = $1), gone AS (DELETE FROM "users" WHERE "id" = $2 RETURNING "id") SELECT EXISTS (SELECT FROM gone), CASE WHEN NOT EXISTS (SELECT FROM gone) AND EXISTS (SELECT FROM "users" WHERE "id" = $3) THEN CAST('guesthouse: the user was not deleted' || coalesce(CAST((SELECT count(*) FROM gone) AS text), '') AS integer) END;
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."id" = $1;
