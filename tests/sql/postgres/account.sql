-- find
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."id" = $1;

-- find by email
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE "users"."email" = $1;

-- the first page
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" ORDER BY "users"."id" ASC LIMIT $1;

-- a later page of hosts
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" AND "guests"."user_id" > $1 LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" AND "hosts"."user_id" > $2 WHERE "users"."id" > $3 AND "hosts"."id" IS NOT NULL ORDER BY "users"."id" ASC LIMIT $4;

-- how many are not hosts
SELECT COUNT(*) FROM "users" WHERE NOT EXISTS(SELECT $1 FROM "hosts" WHERE "hosts"."user_id" = "users"."id");

-- a page of couriers
SELECT "users"."id", "users"."email", "users"."created_at", "users"."updated_at", "guests"."id", "guests"."user_id", "guests"."created_at", "guests"."updated_at", "hosts"."id", "hosts"."user_id", "hosts"."created_at", "hosts"."updated_at" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" LEFT JOIN "hosts" ON "hosts"."user_id" = "users"."id" WHERE EXISTS(SELECT $1 FROM "couriers" WHERE "couriers"."user_id" = "users"."id") ORDER BY "users"."id" ASC LIMIT $2;

-- audit
SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM hosts), (SELECT count(*) FROM users WHERE NOT EXISTS (SELECT 1 FROM guests WHERE guests.user_id = users.id));
