-- those who lack a guest, and then nobody
SELECT name FROM (VALUES ($1::text), ($2::text)) AS tables (name) WHERE row_security_active(to_regclass(name));
SELECT "users"."id" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" WHERE "guests"."user_id" IS NULL ORDER BY "users"."id" ASC LIMIT $1;
INSERT INTO "guests" ("id", "user_id", "created_at", "updated_at") SELECT "input"."id", "input"."user_id", "input"."created_at", "input"."updated_at" FROM unnest($1, $2, $3, $4) AS input ("id", "user_id", "created_at", "updated_at") RETURNING "id" AS "id", "user_id" AS "user_id", "created_at" AS "created_at", "updated_at" AS "updated_at";
SELECT "users"."id" FROM "users" LEFT JOIN "guests" ON "guests"."user_id" = "users"."id" AND "guests"."user_id" > $1 WHERE "guests"."user_id" IS NULL AND "users"."id" > $2 ORDER BY "users"."id" ASC LIMIT $3;
