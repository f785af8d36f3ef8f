-- new
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;

-- existing
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;
SELECT `hosts`.`id` AS `id`, `hosts`.`user_id` AS `user_id`, `hosts`.`created_at` AS `created_at`, `hosts`.`updated_at` AS `updated_at`, (CASE WHEN (`hosts`.`user_id` IS NOT NULL) THEN 1 ELSE 0 END) AS `guesthouse_is_there` FROM `users` LEFT JOIN `hosts` ON `hosts`.`user_id` = `users`.`id` WHERE `users`.`id` = ?;

-- no such user
INSERT INTO `hosts` (`id`, `user_id`, `created_at`, `updated_at`) SELECT ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `created_at`, `updated_at`;
SELECT `hosts`.`id` AS `id`, `hosts`.`user_id` AS `user_id`, `hosts`.`created_at` AS `created_at`, `hosts`.`updated_at` AS `updated_at`, (CASE WHEN (`hosts`.`user_id` IS NOT NULL) THEN 1 ELSE 0 END) AS `guesthouse_is_there` FROM `users` LEFT JOIN `hosts` ON `hosts`.`user_id` = `users`.`id` WHERE `users`.`id` = ?;

-- a role of the app's own
INSERT INTO `couriers` (`id`, `user_id`, `vehicle`, `created_at`, `updated_at`) SELECT ?, ?, ?, ?, ? FROM `users` WHERE `users`.`id` = ? RETURNING `id`, `user_id`, `vehicle`, `badge`, `grade`, `created_at`, `updated_at`;
