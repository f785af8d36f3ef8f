-- changed
UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "id" = $3 RETURNING "id", "email", "created_at", "updated_at", EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('"users"') AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 66 = 0 AND tgtype & 16 <> 0);

-- taken
UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "id" = $3 RETURNING "id", "email", "created_at", "updated_at", EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('"users"') AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 66 = 0 AND tgtype & 16 <> 0);
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = $1 OR "users"."id" = $2 LIMIT $3;
