-- find
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."id" = $1;

-- find by email
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = $1;

-- the first page
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" ORDER BY "users"."id" ASC LIMIT $1;

-- a later page of hosts
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" AND "guests"."user_id" > $1 LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" AND "hosts"."user_id" > $2 WHERE "users"."id" > $3 AND "hosts"."id" IS NOT NULL ORDER BY "users"."id" ASC LIMIT $4;

-- how many are not hosts
SELECT COUNT(*) FROM "users" WHERE NOT EXISTS(SELECT $1 FROM "hosts" WHERE "hosts"."user_id" = "users"."id");

-- a page of couriers
SELECT "users"."id" AS "A_id", "users"."email" AS "A_email", "users"."created_at" AS "A_created_at", "users"."updated_at" AS "A_updated_at", "guests"."id" AS "B_id", "guests"."user_id" AS "B_user_id", "guests"."created_at" AS "B_created_at", "guests"."updated_at" AS "B_updated_at", "hosts"."id" AS "C_id", "hosts"."user_id" AS "C_user_id", "hosts"."created_at" AS "C_created_at", "hosts"."updated_at" AS "C_updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE EXISTS(SELECT $1 FROM "couriers" WHERE "couriers"."user_id" = "users"."id") ORDER BY "users"."id" ASC LIMIT $2;

-- a later page of the app's own users beside their profiles
SELECT "members"."id" AS "A_id", "members"."email" AS "A_email", "members"."name" AS "A_name", "members"."password_hash" AS "A_password_hash", "role"."id" AS "B_id", "role"."member_id" AS "B_member_id", "role"."bio" AS "B_bio" FROM "members" LEFT JOIN "profiles" AS "role" ON "role"."member_id" = "members"."id" AND "role"."member_id" > $1 WHERE "members"."id" > $2 ORDER BY "members"."id" ASC LIMIT $3;

-- how many of the app's own users have no profile
SELECT count(*) FROM "members" WHERE NOT EXISTS(SELECT 1 FROM "profiles" AS "role" WHERE "role"."member_id" = "members"."id");

-- audit
SELECT name FROM (VALUES ($1::text), ($2::text), ($3::text)) AS tables (name) WHERE row_security_active(to_regclass(name));
SELECT (SELECT count(*) FROM "users"), (SELECT count(*) FROM "hosts"), (SELECT count(*) FROM "users" WHERE NOT EXISTS(SELECT 1 FROM "guests" AS "role" WHERE "role"."user_id" = "users"."id"));
