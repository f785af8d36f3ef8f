-- changed
UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "id" = $3 RETURNING "id", "email", "created_at", "updated_at";

-- taken
UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "id" = $3 RETURNING "id", "email", "created_at", "updated_at";
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = $1 OR "users"."id" = $2 LIMIT $3;
