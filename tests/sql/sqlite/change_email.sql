-- changed
UPDATE "users" SET "email" = ?, "updated_at" = ? WHERE "id" = ? RETURNING "id", "email", "created_at", "updated_at", 1; SELECT "users"."id" AS "id", "users"."email" AS "email", "users"."created_at" AS "created_at", "users"."updated_at" AS "updated_at" FROM "users" WHERE "users"."id" = ?;

-- taken
UPDATE "users" SET "email" = ?, "updated_at" = ? WHERE "id" = ? RETURNING "id", "email", "created_at", "updated_at", 1; SELECT "users"."id" AS "id", "users"."email" AS "email", "users"."created_at" AS "created_at", "users"."updated_at" AS "updated_at" FROM "users" WHERE "users"."id" = ?;
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = ? OR "users"."id" = ? LIMIT ?;
