-- new
INSERT INTO "users" ("id", "email", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING "id";
INSERT INTO "guests" ("id", "user_id", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING 1; SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at" FROM "users" INNER JOIN "guests" ON "guests"."user_id" = "users"."id" WHERE "users"."id" = ?;

-- taken
INSERT INTO "users" ("id", "email", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING "id";
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = ? LIMIT ?;

-- with an id, new
INSERT INTO "users" ("id", "email", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING "id";
INSERT INTO "guests" ("id", "user_id", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING 1; SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at" FROM "users" INNER JOIN "guests" ON "guests"."user_id" = "users"."id" WHERE "users"."id" = ?;

-- with an id, again
INSERT INTO "users" ("id", "email", "created_at", "updated_at") VALUES (?, ?, ?, ?) RETURNING "id";
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = ? OR "users"."id" = ? LIMIT ?;

-- users of the app's own, whose key the database makes
INSERT INTO "members" ("email", "name", "password_hash") VALUES (?, ?, ?) RETURNING "id";
INSERT INTO "profiles" ("member_id", "bio") VALUES (?, ?) RETURNING 1; SELECT "members"."id" AS "A_id", "members"."email" AS "A_email", "members"."name" AS "A_name", "members"."password_hash" AS "A_password_hash", "profiles"."id" AS "B_id", "profiles"."member_id" AS "B_member_id", "profiles"."bio" AS "B_bio" FROM "members" INNER JOIN "profiles" ON "profiles"."member_id" = "members"."id" WHERE "members"."id" = ?;
