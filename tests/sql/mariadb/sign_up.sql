-- new
/*M!100602 BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO `users` (`id`, `email`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `email`, `created_at`, `updated_at`; INSERT INTO `guests` (`id`, `user_id`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `user_id`, `created_at`, `updated_at`; COMMIT; END */;

-- taken
/*M!100602 BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO `users` (`id`, `email`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `email`, `created_at`, `updated_at`; INSERT INTO `guests` (`id`, `user_id`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `user_id`, `created_at`, `updated_at`; COMMIT; END */;
SELECT `users`.`id`, `users`.`email`, `users`.`created_at`, `users`.`updated_at`, `guests`.`id`, `guests`.`user_id`, `guests`.`created_at`, `guests`.`updated_at`, `hosts`.`id`, `hosts`.`user_id`, `hosts`.`created_at`, `hosts`.`updated_at` FROM `users` LEFT JOIN `guests` ON `guests`.`user_id` = `users`.`id` LEFT JOIN `hosts` ON `hosts`.`user_id` = `users`.`id` WHERE `users`.`email` = ? LIMIT ?;

-- with an id, new
/*M!100602 BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO `users` (`id`, `email`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `email`, `created_at`, `updated_at`; INSERT INTO `guests` (`id`, `user_id`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `user_id`, `created_at`, `updated_at`; COMMIT; END */;

-- with an id, again
/*M!100602 BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO `users` (`id`, `email`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `email`, `created_at`, `updated_at`; INSERT INTO `guests` (`id`, `user_id`, `created_at`, `updated_at`) VALUES (?, ?, ?, ?) RETURNING `id`, `user_id`, `created_at`, `updated_at`; COMMIT; END */;
SELECT `users`.`id`, `users`.`email`, `users`.`created_at`, `users`.`updated_at`, `guests`.`id`, `guests`.`user_id`, `guests`.`created_at`, `guests`.`updated_at`, `hosts`.`id`, `hosts`.`user_id`, `hosts`.`created_at`, `hosts`.`updated_at` FROM `users` LEFT JOIN `guests` ON `guests`.`user_id` = `users`.`id` LEFT JOIN `hosts` ON `hosts`.`user_id` = `users`.`id` WHERE `users`.`email` = ? OR `users`.`id` = ? LIMIT ?;

-- users of the app's own, whose key the database makes
/*M!100602 BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO `members` (`email`, `name`, `password_hash`) VALUES (?, ?, ?) RETURNING `id`, `email`, `name`, `password_hash`; INSERT INTO `profiles` (`bio`, `member_id`) SELECT ?, `members`.`id` FROM `members` WHERE `members`.`email` = ? RETURNING `id`, `member_id`, `bio`; COMMIT; END */;
